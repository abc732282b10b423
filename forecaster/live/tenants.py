"""Large tenants: which there are, and what each asks of the demand that the gateway counts."""

from collections.abc import Mapping, Sequence

import numpy as np

from forecaster.demand.demand import Demand, Floats
from forecaster.live.feed import Feed
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.series import Selector, Series, Window, total
from telemetry.store import Reader

LARGE = 1.0 / 3.0  # of the requests of the last season
_ALL_BUT_ALONE = 0.95  # who asks for more than this is the total
_LOOK_SECONDS = 3600.0  # who is large changes slowly


class LargeTenants:
    """The demand of each tenant that asks for much of it, on the grid of the total.

    Arrivals are not counted by tenant: they, and their tokens, are shared out as those of the
    requests that were finished in the same step.
    """

    def __init__(self, reader: Reader, *, step: float, points: int, season: int) -> None:
        self._reader = reader
        self._step = step
        self._points = points
        self._season = season
        self._looked_at = -np.inf
        self._feeds: dict[str, Feed] = {}
        self._everyone = self._feed("everyone", {})

    def __call__(self, demand: Demand) -> Sequence[Demand]:
        """Return one demand for each large tenant; none where one asks for all."""
        if not 0 <= demand.origin - self._looked_at < _LOOK_SECONDS:
            self._look(demand.origin)
        if not self._feeds:
            return ()
        everyone = self._everyone.read(demand.origin)
        return [
            _shared(demand, feed.read(demand.origin), everyone) for feed in self._feeds.values()
        ]

    def _look(self, now: float) -> None:
        last = Window(now, now, self._step * self._season)
        self._feeds = {
            name: self._feeds.get(name) or self._feed(name, {"tenant": name})
            for name in _large(self._reader, last)
        }
        self._looked_at = now

    def _feed(self, name: str, labels: Mapping[str, str]) -> Feed:
        def read(window: Window) -> Demand:
            return Demand(
                name,
                self._rate(catalog.TENANT_REQUESTS, labels, window),
                self._rate(catalog.TENANT_TOKENS, {**labels, "kind": "input"}, window),
                self._rate(catalog.TENANT_TOKENS, {**labels, "kind": "output"}, window),
            )

        return Feed(read, step=self._step, points=self._points, season=self._season)

    def _rate(self, metric: Metric, labels: Mapping[str, str], window: Window) -> Series:
        grown = total(list(self._reader.increase(Selector(metric.name, labels), window)), window)
        return Series(labels, window, grown.values / window.step)


def _large(reader: Reader, last_season: Window) -> list[str]:
    """Return the tenants above the share, the largest first; none where one asks for all."""
    asked: dict[str, float] = {}
    for series in reader.increase(Selector(catalog.TENANT_REQUESTS.name), last_season):
        tenant = series.labels["tenant"]
        asked[tenant] = asked.get(tenant, 0.0) + float(np.nan_to_num(series.values[-1]))
    everything = sum(asked.values())
    if everything <= 0 or max(asked.values()) > _ALL_BUT_ALONE * everything:
        return []
    ranked = sorted(asked, key=lambda name: -asked[name])
    return [name for name in ranked if asked[name] > LARGE * everything]


def _shared(demand: Demand, tenant: Demand, everyone: Demand) -> Demand:
    """Return the tenant's share of the demand."""

    def of(whole: Series | None, mine: Series | None, every: Series | None) -> Series | None:
        if whole is None or mine is None or every is None:
            return None
        share = _share(_last(mine, demand.size), _last(every, demand.size))
        values = np.where(whole.values == 0, 0.0, whole.values * share)
        return Series(whole.labels, demand.window, values)

    return Demand(
        tenant.name,
        of(demand.rate, tenant.rate, everyone.rate) or demand.rate,
        of(demand.input_tokens, tenant.input_tokens, everyone.input_tokens),
        of(demand.output_tokens, tenant.output_tokens, everyone.output_tokens),
        ignored=demand.ignored,
    )


def _share(mine: Floats, every: Floats) -> Floats:
    """Return the share in each step; a tenant that was not counted asked for nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.where(np.isnan(mine), 0.0, mine) / every
    return np.where(every > 0, known, np.nan)


def _last(series: Series, size: int) -> Floats:
    """Return the last values, gaps before the first."""
    values = series.values[-size:]
    return np.concatenate([np.full(size - values.size, np.nan), values])
