"""Capacity: how fast one replica iterates, hence how many requests per second it sustains."""

import math
from dataclasses import dataclass, replace
from typing import Protocol

from autoscaler.observation import Fleet

_SLOWEST, _FASTEST = 4.0, 0.5  # a correction beyond these says that the profile is wrong
_ENOUGH_ITERATIONS = 20.0


@dataclass(frozen=True, slots=True)
class Work:
    """What serving replicas have done in some window, summed."""

    busy_seconds: float
    iterations: float
    decode_tokens: float
    prefill_tokens: float


@dataclass(frozen=True, slots=True)
class Capacity:
    """Iteration time of one replica: T = alpha + beta * decode + delta * prefill, in seconds.

    `correction` is how many times longer iterations have lately taken than profiled.
    """

    alpha: float
    beta: float
    delta: float
    slots: int
    correction: float = 1.0

    def __post_init__(self) -> None:
        times = (self.alpha, self.beta, self.delta)
        valid = all(math.isfinite(time) and time >= 0 for time in times)
        if not valid or self.alpha + self.beta <= 0:  # or decoding would take no time
            raise ValueError(f"expected finite times and alpha or beta above 0, got {times}")
        if self.slots < 1:
            raise ValueError(f"expected at least one slot, got {self.slots}")
        if not _FASTEST <= self.correction <= _SLOWEST:
            raise ValueError(f"expected a correction of 0.5 to 4, got {self.correction}")

    def iteration_seconds(self, *, decode: float, prefill: float) -> float:
        """Return the time of one iteration over so many decode and prompt tokens."""
        return self.correction * self._profiled(1.0, decode, prefill)

    def requests_per_second(self, *, input_tokens: float, output_tokens: float) -> float:
        """Return the request rate that one replica sustains with every slot taken.

        A request keeps one of `slots` places for `output_tokens` iterations, so each
        iteration ends slots / output_tokens requests and lets in as many new prompts:
        prefill = slots / output_tokens * input_tokens, rate = slots / output_tokens / T.
        """
        ended = self.slots / max(output_tokens, 1.0)
        return ended / self.iteration_seconds(decode=self.slots, prefill=ended * input_tokens)

    def refined(self, work: Work, *, weight: float = 0.2) -> "Capacity":
        """Return this capacity moved by `weight` towards the speed seen in `work`.

        Too little work teaches nothing.
        """
        expected = self._profiled(work.iterations, work.decode_tokens, work.prefill_tokens)
        if work.iterations < _ENOUGH_ITERATIONS or work.busy_seconds <= 0 or expected <= 0:
            return self
        seen = min(max(work.busy_seconds / expected, _FASTEST), _SLOWEST)
        moved = self.correction + weight * (seen - self.correction)
        return replace(self, correction=min(max(moved, _FASTEST), _SLOWEST))

    def _profiled(self, iterations: float, decode: float, prefill: float) -> float:
        """Return the time that the profile gives to so much work; it is linear, so sums add."""
        return self.alpha * iterations + self.beta * decode + self.delta * prefill


class CapacitySource(Protocol):
    """Where a replica's capacity is learnt from."""

    def capacity(self, fleet: Fleet, *, at: float) -> Capacity | None:
        """Return what one replica can do as known at `at`, None where nothing is known yet."""
        ...
