"""Demand out of a living Prometheus: of a model that we count, or of any query."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.demand.demand import REQUESTS, Demand, DemandError, Floats
from forecaster.demand.series import NO_LABELS, read_demand
from telemetry.prometheus_store import PrometheusReader
from telemetry.series import Series, Window, total
from telemetry.store import StoreError

_SELECTOR = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^{}]*\})?\s*")
_COUNTS = ("_total", "_count")  # by convention, the names of counters end so
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class PrometheusSource:
    """A Prometheus to ask; it blocks, so ask it in a thread."""

    url: str
    timeout_seconds: float = 30.0

    def of_query(
        self,
        query: str,
        window: Window,
        *,
        is_counter: bool | None = None,
        is_summed: bool = False,
        unit: str = REQUESTS,
    ) -> Demand:
        """Return the demand that a PromQL query gives, in `unit`, at each point of the window.

        A counter is asked for its growth in each step, resets and all; without being told, the
        query is taken for one if it is a metric alone whose name ends as those of counters do.
        """
        repairs = []
        if is_counter is None and _names_counter(query):
            is_counter = True
            repairs.append(f"{query.strip()} is a counter, of which the growth was read")
        asked = _growth(query, window.step) if is_counter else query
        found = self._ask(asked, window)
        if not found:
            raise DemandError(
                f"{query}: Prometheus at {self.url} has no value for it between "
                f"{window.start:.0f} and {window.end:.0f} (seconds since 1970): check the query "
                "and its labels"
            )
        if len(found) > 1 and not is_summed:
            raise DemandError(_several(query, found))
        values, repaired = _checked(query, total(found, window))
        return Demand(
            query,
            Series(found[0].labels if len(found) == 1 else {}, window, values),
            unit=unit,
            repairs=(*repairs, *repaired),
        )

    def of_model(
        self, model: str, window: Window, *, labels: Mapping[str, str] = NO_LABELS
    ) -> Demand:
        """Return the demand for a model whose gateway this Prometheus scrapes."""
        try:
            demand = read_demand(self._reader(), model, window, labels=labels)
        except (StoreError, ValueError) as error:
            raise DemandError(str(error)) from error
        if not demand.rate.has_data:
            raise DemandError(
                f"Prometheus at {self.url} has counted no arrivals of {_told(demand.rate)} "
                f"between {window.start:.0f} and {window.end:.0f} (seconds since 1970)"
            )
        return demand

    def _ask(self, query: str, window: Window) -> list[Series]:
        try:
            return self._reader().query_range(query, window)
        except (StoreError, ValueError) as error:
            raise DemandError(f"{query}: {error}") from error

    def _reader(self) -> PrometheusReader:
        return PrometheusReader(self.url, timeout_seconds=self.timeout_seconds)


def _names_counter(query: str) -> bool:
    selector = _SELECTOR.fullmatch(query)
    return selector is not None and selector[1].endswith(_COUNTS)


def _growth(query: str, step: float) -> str:
    if not _SELECTOR.fullmatch(query):
        raise DemandError(
            f"{query}: expected a metric and its labels where a counter is read, such as "
            'requests_total{model="m"}; a query that takes rates itself is no counter'
        )
    return f"rate({query.strip()}[{round(step * 1000)}ms])"


def _checked(query: str, series: Series) -> tuple[Floats, tuple[str, ...]]:
    values = series.values
    if (values < 0).any():
        at = int(np.argmax(values < 0))
        raise DemandError(
            f"{query}: expected demand of at least 0, got {values[at]:g} at "
            f"{series.times[at]:.0f} (seconds since 1970)"
        )
    infinite = np.isinf(values)
    if not infinite.any():
        return values, ()
    count = int(infinite.sum())
    points = "1 point is infinite and counts as a gap"
    told = points if count == 1 else f"{count} points are infinite and count as gaps"
    return np.where(infinite, np.nan, values), (told,)


def _several(query: str, found: Sequence[Series]) -> str:
    named = "; ".join(_told(series) for series in found[:_MOST_NAMED])
    more = len(found) - _MOST_NAMED
    return (
        f"{query}: expected one series, got {len(found)}: {named}"
        + (f"; and {more} more" if more > 0 else "")
        + ". Choose one by its labels, or have them summed (sum(…) around the query)"
    )


def _told(series: Series) -> str:
    labels = ", ".join(f'{name}="{value}"' for name, value in sorted(series.labels.items()))
    return f"{{{labels}}}"
