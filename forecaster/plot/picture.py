"""What a picture of a forecast shows, as plain numbers: the ways of drawing only draw it."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from forecaster.demand.demand import Demand
from forecaster.forecast import Forecast
from forecaster.plot.axis import Axis, axis_of

Floats = NDArray[np.float64]

# Pairs of levels, the widest first: what lies between them is one band of the fan.
FAN = ((0.01, 0.99), (0.05, 0.95), (0.1, 0.9), (0.3, 0.7))
_BEFORE = 4  # times the horizon, of the demand beside the fan
_LEAST_BEFORE = 24  # steps of it
_PATHS = 5  # scenarios drawn
_MOST_POINTS = 4000  # of the whole demand, which is drawn in little room


@dataclass(frozen=True, slots=True)
class Line:
    """Values over time, with gaps as NaN."""

    times: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class Band:
    """What demand stays within with a probability."""

    low: float
    high: float
    lows: Floats
    highs: Floats

    @property
    def name(self) -> str:
        """What the band holds, for a legend."""
        return f"{self.high - self.low:.0%} (p{self.low * 100:g} to p{self.high * 100:g})"


@dataclass(frozen=True, slots=True)
class Reliability:
    """How demand of the past fell among the quantiles that would have been forecast for it."""

    levels: Floats
    coverage: Floats  # share of demand at or below each level
    shares: Floats  # of demand between one level of `edges` and the next
    edges: Floats
    outcomes: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A forecast with the demand before it."""

    title: str
    subtitle: str
    unit: str
    axis: Axis
    origin: float
    recent: Line
    whole: Line
    ahead: Floats  # times, the origin first
    middle: Floats
    bands: tuple[Band, ...]
    paths: Floats  # some scenarios x steps, without the origin
    reliability: Reliability | None


def picture_of(
    demand: Demand,
    forecast: Forecast,
    *,
    zone: ZoneInfo,
    subtitle: str = "",
    reliability: Reliability | None = None,
) -> Picture:
    """Choose what is drawn: the fan begins where demand was last known."""
    times, values = demand.window.times, demand.rate.values
    before = max(_LEAST_BEFORE, _BEFORE * forecast.steps)
    last = _last_known(values)
    scenarios = forecast.scenarios
    return Picture(
        title=f"Demand of {demand.name}",
        subtitle=subtitle,
        unit=forecast.unit,
        axis=axis_of(float(times[0]) - demand.step, forecast.origin, zone),
        origin=forecast.origin,
        recent=Line(times[-before:], values[-before:]),
        whole=thinned(Line(times, values), _MOST_POINTS),
        ahead=np.concatenate([[forecast.origin], forecast.times]),
        middle=np.concatenate([[last], forecast.at_quantile(0.5)]),
        bands=tuple(_band(forecast, low, high, last) for low, high in FAN),
        paths=np.empty((0, forecast.steps))
        if scenarios is None
        else scenarios.rate[:: max(1, scenarios.count // _PATHS)][:_PATHS],
        reliability=reliability,
    )


def thinned(line: Line, most: int) -> Line:
    """Return at most about `most` points: means of as many neighbours as that takes."""
    size = -(-line.values.size // most)
    if size <= 1:
        return line
    rest = line.values.size % size  # of the oldest, too few for a point
    blocks = line.values[rest:].reshape(-1, size)
    known = np.isfinite(blocks)
    sums = np.where(known, blocks, 0.0).sum(axis=1)
    counts = known.sum(axis=1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return Line(line.times[rest:].reshape(-1, size)[:, -1], means)


def _band(forecast: Forecast, low: float, high: float, last: float) -> Band:
    lows, highs = forecast.at_quantile(low), forecast.at_quantile(high)
    return Band(low, high, np.concatenate([[last], lows]), np.concatenate([[last], highs]))


def _last_known(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if known.size else float("nan")
