"""Local time: a series laid on wall-clock slots, so that days are equally long across changes."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from forecaster.calendars.calendar import CalendarError
from forecaster.demand.demand import Demand
from forecaster.forecast import Forecast
from telemetry.series import Series, Window

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def zone_named(name: str) -> ZoneInfo:
    """Return the time zone of this name, as in `Europe/Berlin`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CalendarError(
            f"expected the name of a time zone, as in Europe/Berlin, got {name!r}"
        ) from None


def wall(ends: Floats, zone: ZoneInfo, *, step: float) -> Floats:
    """Return what the clock on the wall shows at the ends of steps, as seconds since 1970 on it.

    A step belongs to the offset of its middle: the one that ends as clocks change, to the old.
    """
    offsets = np.empty_like(ends)
    # Clocks change on quarters of an hour, so that the offset is asked for once in each.
    quarters, where = np.unique(np.floor((ends - step / 2) / 900.0), return_inverse=True)
    for index, quarter in enumerate(quarters):
        moment = datetime.fromtimestamp(float(quarter) * 900.0, UTC).astimezone(zone)
        offset = moment.utcoffset()
        offsets[where == index] = 0.0 if offset is None else offset.total_seconds()
    return np.asarray(ends + offsets)


@dataclass(frozen=True)
class LocalGrid:
    """Wall-clock slots for the steps of a window: the last slot is the last step's.

    The hour that spring skips is slots without a step, which are gaps; the one that autumn
    repeats is slots with two.
    """

    window: Window
    zone: ZoneInfo

    @cached_property
    def shown(self) -> Floats:
        """What the clock shows at the end of each step."""
        return wall(self.window.times, self.zone, step=self.window.step)

    @cached_property
    def slots(self) -> Indices:
        """The slot of each step; those past the last slot, in a repeated hour, have none."""
        return _whole((self.shown - self.shown[0]) / self.window.step)

    @property
    def local(self) -> Window:
        """The slots as a window, in seconds since 1970 on the wall."""
        start = float(self.shown[0])
        step = self.window.step
        return Window(start, start + int(self.slots[-1]) * step, step)

    def slots_ahead(self, steps: int) -> Indices:
        """Return the slot of each of the steps that follow, in slots after the last one.

        None is less than 1: while an hour repeats, its slots lie behind, and the next stands in.
        """
        step = self.window.step
        ends = self.window.times[-1] + step * np.arange(1, steps + 1)
        ahead = (wall(ends, self.zone, step=step) - self.shown[-1]) / step
        return np.maximum(_whole(ahead), np.int64(1))

    def laid(self, demand: Demand) -> Demand:
        """Return the demand on the slots: where two steps share one, the mean of what is told.

        While the repeated hour is being lived through, what the first pass saw of its rest is
        left out, since it lies ahead on the wall.
        """
        ignored = np.zeros(demand.size, np.bool_) if demand.ignored is None else demand.ignored
        told = self._means(demand.rate.values, ~ignored)
        seen = self._means(demand.rate.values, np.ones(demand.size, np.bool_))
        only_ignored = ~np.isfinite(told) & np.isfinite(seen)
        return replace(
            demand,
            rate=self._series(demand.rate, np.where(only_ignored, seen, told)),
            input_tokens=self._laid(demand.input_tokens, ~ignored),
            output_tokens=self._laid(demand.output_tokens, ~ignored),
            ignored=None if demand.ignored is None else only_ignored,
        )

    def unlaid(self, forecast: Forecast, steps: int) -> Forecast:
        """Return a forecast of slots as one of the `steps` that follow.

        Each step keeps the spread of how far ahead it is, and takes the level of its slot.
        """
        ahead = self.slots_ahead(steps) - 1
        own = np.arange(steps)
        middles = forecast.at_quantile(0.5)
        positive = middles[own] > 0
        factors = np.where(positive, middles[ahead] / np.where(positive, middles[own], 1.0), 1.0)
        rows = np.where(positive, own, ahead)
        drawn = forecast.scenarios
        if drawn is not None:
            drawn = type(drawn)(
                drawn.rate[:, rows] * factors,
                None if drawn.input_tokens is None else drawn.input_tokens[:, ahead],
                None if drawn.output_tokens is None else drawn.output_tokens[:, ahead],
            )
        values = forecast.values[rows] * factors[:, None]
        origin = float(self.window.times[-1])
        return replace(forecast, origin=origin, values=values, scenarios=drawn)

    def _laid(self, series: Series | None, told: NDArray[np.bool_]) -> Series | None:
        return None if series is None else self._series(series, self._means(series.values, told))

    def _series(self, series: Series, values: Floats) -> Series:
        return Series(series.labels, self.local, values)

    def _means(self, values: Floats, told: NDArray[np.bool_]) -> Floats:
        size = int(self.slots[-1]) + 1
        counted = told & np.isfinite(values) & (self.slots < size)
        sums = np.bincount(self.slots[counted], values[counted], minlength=size)
        counts = np.bincount(self.slots[counted], minlength=size)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _whole(numbers: Floats) -> Indices:
    whole: Indices = np.round(numbers).astype(np.int64)
    return whole
