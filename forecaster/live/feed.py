"""The feed: a model's demand kept current, of which only the newest is read again each time."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from forecaster.demand.demand import Demand, Floats
from telemetry.series import Series, Window

_REREAD_SECONDS = 300.0  # readings may come late
_WHOLE_AGAIN_SECONDS = 3600.0  # so that what was told of the past later is seen at last
_LEAST_REREAD = 3  # steps

ReadDemand = Callable[[Window], Demand]


class Feed:
    """Demand of the last `points` steps, from the first that is known.

    Where less than a season is known the whole is read each time: there is little of it, and
    somebody may be telling it only now. An error of `read` leaves the feed as it was.
    """

    def __init__(self, read: ReadDemand, *, step: float, points: int, season: int) -> None:
        self._read = read
        self._step = step
        self._points = points
        self._season = season
        self._whole_until = -np.inf
        self._kept: Demand | None = None

    def read(self, now: float) -> Demand:
        """Return demand up to the last step that has ended by `now`."""
        window = Window.ending(now, step=self._step, points=self._points)
        kept = self._kept
        if kept is None or not self._may_follow(kept, window):
            demand = self._read(window)
            self._whole_until = window.end + _WHOLE_AGAIN_SECONDS
        else:
            demand = _continued(kept, self._read(self._tail(kept, window)), self._points)
        self._kept = _from_first_known(demand)
        return self._kept

    def _may_follow(self, kept: Demand, window: Window) -> bool:
        known = int(np.isfinite(kept.rate.values).sum())
        return known >= self._season and kept.origin <= window.end < self._whole_until

    def _tail(self, kept: Demand, window: Window) -> Window:
        again = max(_LEAST_REREAD, round(_REREAD_SECONDS / self._step))
        new = round((window.end - kept.origin) / self._step)
        return Window.ending(window.end, step=self._step, points=min(again + new, self._points))


def _continued(kept: Demand, tail: Demand, points: int) -> Demand:
    """Lay the tail over the end of what was kept, and keep the last `points`."""
    ahead = round((tail.origin - kept.origin) / kept.step)
    before = max(0, kept.size + ahead - tail.size)
    size = min(points, before + tail.size)
    end = tail.window.end
    window = Window(end - kept.step * (size - 1), end, kept.step)

    def joined(old: Series | None, new: Series | None) -> Series | None:
        if old is None and new is None:
            return None
        values = np.concatenate([_values(old, kept.size)[:before], _values(new, tail.size)])
        return Series(tail.rate.labels, window, values[-size:])

    return replace(
        tail,
        rate=joined(kept.rate, tail.rate) or tail.rate,
        input_tokens=joined(kept.input_tokens, tail.input_tokens),
        output_tokens=joined(kept.output_tokens, tail.output_tokens),
    )


def _values(series: Series | None, size: int) -> Floats:
    return np.full(size, np.nan) if series is None else series.values


def _from_first_known(demand: Demand) -> Demand:
    """Leave out the steps before anything was known; one step is left where nothing is."""
    known = np.isfinite(demand.rate.values)
    first = int(np.argmax(known)) if known.any() else demand.size - 1
    return demand.part(first, demand.size)
