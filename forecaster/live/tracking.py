"""Tracking: forecasts that were made are remembered, and judged when their demand has come.

What is kept is counts by stretches of time, a 24th of a season each, for a season: it stays small
however long it runs, and shows how far what happened soon after each other went together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecaster.demand.demand import Floats
from forecaster.forecast import Forecast
from telemetry.series import Series

BLOCKS = 24  # stretches of a season that are remembered
_BUCKETS_MINUTES = (5.0, 15.0, 60.0)
_PATIENCE_SECONDS = 300.0  # for demand that becomes known late


@dataclass(frozen=True, slots=True)
class Awaited:
    """Quantiles that were forecast for the step that ends at `at`."""

    at: float
    levels: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """How demand fell among the quantiles that had been forecast for one stretch of time."""

    start: float
    counts: tuple[int, ...]  # above the quantile before and up to this one; last, above them all
    loss: float  # sum of the pinball losses, each the mean over the quantiles

    @property
    def total(self) -> int:
        """Number of forecasts whose demand has come."""
        return sum(self.counts)

    def above(self, index: int) -> int:
        """Return how often demand was above the quantile with this index."""
        return sum(self.counts[index + 1 :])


@dataclass(frozen=True, slots=True)
class Track:
    """Forecasts for one number of steps ahead."""

    steps: int
    awaited: tuple[Awaited, ...] = ()  # oldest first
    blocks: tuple[Block, ...] = ()  # oldest first


@dataclass(frozen=True, slots=True)
class Tracking:
    """What is known of how the forecasts of the last season fared."""

    step: float
    block_seconds: float
    quantiles: tuple[float, ...]
    tracks: tuple[Track, ...]

    def remembering(self, forecast: Forecast) -> "Tracking":
        """Return the tracking that awaits what this forecast expects."""
        levels = np.array([forecast.at_quantile(one) for one in self.quantiles]).T
        return replace(
            self, tracks=tuple(_await(track, forecast, levels) for track in self.tracks)
        )

    def matured(self, demand: Series) -> "Tracking":
        """Return the tracking with what was awaited up to the end of `demand` judged.

        A gap judges nothing, and is dropped once it is late.
        """
        return replace(self, tracks=tuple(self._judged(track, demand) for track in self.tracks))

    def blocks(self, *, since: float = -np.inf) -> Sequence[Block]:
        """Return the counts of each stretch of time over all horizons, oldest first."""
        by_start: dict[float, list[Block]] = {}
        for track in self.tracks:
            for block in track.blocks:
                by_start.setdefault(block.start, []).append(block)
        return [_sum(by_start[start]) for start in sorted(by_start) if start >= since]

    def _judged(self, track: Track, demand: Series) -> Track:
        end, blocks, kept = demand.window.end, list(track.blocks), list[Awaited]()
        for one in track.awaited:
            actual = _at(demand, one.at)
            if np.isfinite(actual):
                self._count(blocks, one, actual)
            elif one.at > end - _PATIENCE_SECONDS:
                kept.append(one)
        oldest = end - BLOCKS * self.block_seconds
        recent = tuple(block for block in blocks if block.start >= oldest)
        return Track(track.steps, tuple(kept), recent)

    def _count(self, blocks: list[Block], one: Awaited, actual: float) -> None:
        start = (one.at // self.block_seconds) * self.block_seconds
        known = next((block for block in reversed(blocks) if block.start == start), None)
        if known is None:
            blocks.append(_judge(start, one.levels, self.quantiles, actual))
            blocks.sort(key=lambda block: block.start)
        else:
            judged = _judge(start, one.levels, self.quantiles, actual)
            blocks[blocks.index(known)] = _sum([known, judged])


def begin_tracking(
    *, step: float, season_steps: int, horizon_steps: int, quantiles: tuple[float, ...]
) -> Tracking:
    """Return a tracking of nothing yet: the next step, and the ends of 5, 15 and 60 minutes."""
    ends = [min(horizon_steps, max(1, round(60 * one / step))) for one in _BUCKETS_MINUTES]
    tracks = tuple(Track(steps) for steps in sorted({1, *ends}))
    return Tracking(step, season_steps * step / BLOCKS, quantiles, tracks)


def coverage(tracking: Tracking) -> dict[float, float]:
    """Return the share of demand at or below each quantile; empty where none has come."""
    shares = np.cumsum(pit(tracking))[:-1]
    return dict(zip(tracking.quantiles, shares.tolist(), strict=False))


def pit(tracking: Tracking) -> tuple[float, ...]:
    """Return the share of demand up to each quantile from the one before, and above them all."""
    blocks = tracking.blocks()
    counts = np.sum([block.counts for block in blocks], axis=0) if blocks else np.zeros(0)
    return tuple((counts / counts.sum()).tolist()) if blocks else ()


def losses(tracking: Tracking) -> dict[float, float]:
    """Return the mean pinball loss by horizon in seconds, in the unit of demand."""
    return {
        track.steps * tracking.step: sum(block.loss for block in track.blocks)
        / sum(block.total for block in track.blocks)
        for track in tracking.tracks
        if track.blocks
    }


def matured_count(tracking: Tracking) -> int:
    """Return how many forecasts have been judged, over all horizons."""
    return sum(block.total for block in tracking.blocks())


def _await(track: Track, forecast: Forecast, levels: Floats) -> Track:
    """Await the step so far ahead; of two forecasts for one step the first is kept."""
    at = float(forecast.origin + track.steps * forecast.step)
    half = forecast.step / 2
    is_awaited = any(abs(one.at - at) < half for one in track.awaited)
    if track.steps > forecast.steps or is_awaited:
        return track
    earlier = (one for one in track.awaited if one.at < at)  # a clock may be set back
    row = tuple(levels[track.steps - 1].tolist())
    return replace(track, awaited=(*earlier, Awaited(at, row)))


def _at(demand: Series, at: float) -> float:
    index = demand.values.size - 1 - round((demand.window.end - at) / demand.window.step)
    return float(demand.values[index]) if 0 <= index < demand.values.size else float("nan")


def _judge(
    start: float, levels: tuple[float, ...], quantiles: tuple[float, ...], actual: float
) -> Block:
    values, taus = np.array(levels), np.array(quantiles)
    counts = np.bincount([np.searchsorted(values, actual)], minlength=values.size + 1)
    missed = actual - values
    loss = float(np.maximum(taus * missed, (taus - 1) * missed).mean())
    return Block(start, tuple(counts.tolist()), loss)


def _sum(blocks: Iterable[Block]) -> Block:
    several = list(blocks)
    counts = np.sum([block.counts for block in several], axis=0)
    loss = sum(block.loss for block in several)
    return Block(several[0].start, tuple(counts.tolist()), loss)
