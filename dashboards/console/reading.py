"""From the metrics store to the sections of a snapshot: one function per section."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from dashboards.console.sections import (
    Band,
    Capacity,
    Demand,
    Points,
    Replicas,
    Signal,
    Target,
    Traffic,
)
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.series import Sample, Selector, Series, Window, total
from telemetry.store import Reader

_QUANTILES = (0.1, 0.5, 0.9)
_DIGITS = 6  # significant digits: more than a screen can show


def read_demand(reader: Reader, model: str, window: Window, *, within: float) -> Demand:
    """Read what arrived in each step and what had been forecast for it."""
    rate = _rate(reader, catalog.GATEWAY_ARRIVALS, model, window)
    forecast = _by_label(_gauge(reader, catalog.FORECAST, model, window), "quantile")
    low, middle, high = (_quantile(forecast, quantile) for quantile in _QUANTILES)
    coverage = _latest(reader, catalog.FORECAST_COVERAGE, model, window.end, within)
    return Demand(
        now=newest(rate),
        rate=rate,
        expected_now=newest(middle),
        low_now=newest(low),
        high_now=newest(high),
        past=Band(low or _gaps(window), middle or _gaps(window), high or _gaps(window)),
        coverage=_values(coverage, "quantile"),
    )


def read_replicas(
    reader: Reader, model: str, window: Window, *, now: float, within: float
) -> Replicas:
    """Read replicas by state and what the plan wanted by tier."""
    states = _last_page(_latest(reader, catalog.REPLICAS, model, now, within))
    wanted = _last_page(_latest(reader, catalog.REPLICAS_WANTED, model, now, within))
    return Replicas(
        by_state=_by_label(_gauge(reader, catalog.REPLICAS, model, window), "state"),
        wanted=_by_label(_gauge(reader, catalog.REPLICAS_WANTED, model, window), "tier"),
        now={state: round(count) for state, count in _values(states, "state").items()},
        wanted_now={tier: round(count) for tier, count in _values(wanted, "tier").items()},
    )


def read_traffic(
    reader: Reader, model: str, window: Window, *, now: float, within: float
) -> Traffic:
    """Read tokens generated per second and requests held and in flight."""
    tokens = _rate(reader, catalog.GATEWAY_OUTPUT_TOKENS, model, window)
    in_flight = _gauge(reader, catalog.GATEWAY_IN_FLIGHT, model, window)
    held = _gauge(reader, catalog.GATEWAY_HELD, model, window)
    return Traffic(
        output_tokens_per_second=tokens,
        in_flight=points(total(in_flight, window).values),
        held=points(total(held, window).values),
        output_tokens_per_second_now=newest(tokens),
        in_flight_now=_sum(_latest(reader, catalog.GATEWAY_IN_FLIGHT, model, now, within)),
        held_now=_sum(_latest(reader, catalog.GATEWAY_HELD, model, now, within)),
    )


def read_capacity(reader: Reader, model: str, *, now: float, within: float) -> Capacity:
    """Read what one replica sustains and the measured lead times."""
    sustained = _latest(reader, catalog.CAPACITY, model, now, within)
    lead = _latest(reader, catalog.LEAD_TIME, model, now, within)
    return Capacity(
        requests_per_second=sustained[0].value if sustained else None,
        lead_seconds=_values(lead, "step"),
    )


def read_signals(
    reader: Reader, model: str, window: Window, *, now: float, within: float
) -> tuple[Signal, ...]:
    """Read how unusual each watched signal is, and the band in which it is normal."""
    scores = _by_label(_gauge(reader, catalog.ANOMALY_SCORE, model, window), "signal")
    active = _by_label(_gauge(reader, catalog.ANOMALY_ACTIVE, model, window), "signal")
    score, is_active, low, high = (
        _values(_latest(reader, metric, model, now, within), "signal")
        for metric in (
            catalog.ANOMALY_SCORE,
            catalog.ANOMALY_ACTIVE,
            catalog.ANOMALY_LOW,
            catalog.ANOMALY_HIGH,
        )
    )
    return tuple(
        Signal(
            name=name,
            score=scores.get(name, _gaps(window)),
            active=active.get(name, _gaps(window)),
            score_now=score.get(name),
            active_now=bool(is_active[name]) if name in is_active else None,
            low_now=low.get(name),
            high_now=high.get(name),
        )
        for name in sorted({*scores, *active, *score, *is_active})
    )


def read_targets(reader: Reader, *, now: float, within: float) -> tuple[Target, ...]:
    """Read which metrics pages answered when they were last asked."""
    found = reader.latest(Selector(catalog.SCRAPE_UP.name), at=now, within=within)
    targets = (
        Target(one.labels.get("job", "?"), one.labels.get("instance", "?"), up=one.value > 0)
        for one in found
    )
    return tuple(sorted(targets, key=lambda target: (target.job, target.instance)))


def points(values: NDArray[np.float64]) -> Points:
    """Return the values as plain numbers, with None for each gap."""
    return tuple(rounded(float(value)) for value in values)


def rounded(value: float) -> float | None:
    """Return the value as a screen can show it; None where there is none."""
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None


def newest(values: Points) -> float | None:
    """Return the last value, or the one before it while the last is still being collected."""
    return next((value for value in reversed(values[-2:]) if value is not None), None)


def _rate(reader: Reader, metric: Metric, model: str, window: Window) -> Points:
    """Return per second what a counter of the gateway grew by in each step."""
    grown = reader.increase(Selector(metric.name, {"model": model}), window)
    return points(total(list(grown), window).values / window.step)


def _gauge(reader: Reader, metric: Metric, model: str, window: Window) -> list[Series]:
    return list(reader.gauge(Selector(metric.name, {"model": model}), window))


def _latest(reader: Reader, metric: Metric, model: str, now: float, within: float) -> list[Sample]:
    return list(reader.latest(Selector(metric.name, {"model": model}), at=now, within=within))


def _last_page(samples: list[Sample]) -> list[Sample]:
    """Keep what the newest page held: a state that it no longer names has no replicas."""
    newest_at = max((one.at for one in samples), default=0.0)
    return [one for one in samples if newest_at - one.at < 1e-3]  # noqa: PLR2004 - same page


def _by_label(series: Iterable[Series], label: str) -> dict[str, Points]:
    return {one.labels[label]: points(one.values) for one in series if label in one.labels}


def _quantile(forecast: Mapping[str, Points], quantile: float) -> Points:
    """Return the series of one quantile, however its label writes the number."""
    matches = (values for label, values in forecast.items() if _is_number(label, quantile))
    return next(matches, ())


def _is_number(label: str, wanted: float) -> bool:
    try:
        return abs(float(label) - wanted) < 1e-9  # noqa: PLR2004 - equal but for rounding
    except ValueError:
        return False


def _values(samples: Iterable[Sample], label: str) -> dict[str, float]:
    """Return the known values by the value of one label."""
    found = {one.labels[label]: rounded(one.value) for one in samples if label in one.labels}
    return {name: value for name, value in found.items() if value is not None}


def _sum(samples: list[Sample]) -> float | None:
    return sum(one.value for one in samples) if samples else None


def _gaps(window: Window) -> Points:
    return (None,) * window.size
