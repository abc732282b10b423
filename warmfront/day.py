"""A day of demand squeezed into a few live minutes, with the days before it as history."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from telemetry.series import Series, Window

DAY_SECONDS = 86_400.0
STEPS_PER_DAY = 96  # a quarter of an hour each


@dataclass(frozen=True, slots=True)
class Day:
    """Demand per live step: `history` came before, `rates` is played; requests/s, NaN = gap."""

    history: NDArray[np.float64]
    rates: NDArray[np.float64]
    step: float  # live seconds
    compression: float  # trace seconds per live second
    scale: float  # live requests/s per request/s of the trace, before compression

    @property
    def live_seconds(self) -> float:
        """How long the day lasts when it is played."""
        return self.step * len(self.rates)

    def arrivals(self, rng: np.random.Generator) -> list[float]:
        """Draw arrival times within the day: a Poisson process at the rate of each step.

        A gap in the trace is played at the level before it.
        """
        times: list[float] = []
        for index, rate in enumerate(_carried(self.rates)):
            count = rng.poisson(rate * self.step)
            times.extend(self.step * (index + rng.random(count)))
        return sorted(times)


def squeeze(demand: Series, *, live_seconds: float, peak: float) -> Day:
    """Fit the last day of `demand` into `live_seconds`, its highest step at `peak` requests/s.

    A trace shorter than two days has no history to learn a daily season from: then all of it
    is played, and the forecaster starts from nothing.
    """
    per_day = round(DAY_SECONDS / demand.window.step)
    values = demand.values
    days = len(values) // per_day
    played = values[(days - 1) * per_day : days * per_day] if days >= 1 else values
    before = values[: (days - 1) * per_day] if days > 1 else values[:0]
    highest = float(np.nanmax(played)) if np.isfinite(played).any() else 0.0
    if highest <= 0:
        raise ValueError("the day to play has no requests in it")
    scale = peak / highest
    step = live_seconds / len(played)
    return Day(before * scale, played * scale, step, demand.window.step / step, scale)


def _carried(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill gaps with the value before them (the first ones with the first value known)."""
    known = np.flatnonzero(np.isfinite(rates))
    places = np.searchsorted(known, np.arange(len(rates)), side="right") - 1
    filled: NDArray[np.float64] = rates[known[np.maximum(places, 0)]]
    return filled


def office_demand(*, days: int, rng: np.random.Generator) -> Series:
    """Make up the demand of an office tool: it opens at nine, has lunch, and closes at six.

    Made up, not measured: 0.6 requests/s at night, about 20 within half an hour of nine,
    a third less at lunch, weekends at a third; days differ by 8 %, steps by 4 %.
    """
    hours = (np.arange(days * STEPS_PER_DAY) + 0.5) * 24.0 / STEPS_PER_DAY
    of_day, day = hours % 24.0, (hours // 24).astype(int)
    at_work = _edge(of_day - 9.0, 0.12) * _edge(18.0 - of_day, 0.4)
    lunch = 1.0 - 0.33 * np.exp(-(((of_day - 12.5) / 0.7) ** 2))
    weekday = np.where((day % 7) >= 5, 0.33, 1.0)  # noqa: PLR2004 - Saturday and Sunday
    level = np.repeat(rng.normal(1.0, 0.08, days), STEPS_PER_DAY)
    noise = rng.normal(1.0, 0.04, hours.size)
    rates = (0.6 + 19.4 * at_work * lunch) * weekday * level * noise
    step = DAY_SECONDS / STEPS_PER_DAY
    return Series({}, Window(0.0, step * (hours.size - 1), step), np.maximum(rates, 0.0))


def _edge(hours: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Rise smoothly from 0 to 1 around zero, most of it within four widths."""
    edge: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(hours / width, -50.0, 50.0)))
    return edge
