"""The engine without its thread: one iteration at a time, each a transaction.

plan -> reserve -> run -> sample -> commit. What one request cannot do ends that request alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from inference.engine.errors import (
    BadSamplingError,
    DrawError,
    EngineError,
    OutOfMemoryError,
)
from inference.engine.forward import Batches, group_by_length
from inference.engine.sampling import Drawn, Sampler, draw
from inference.engine.scheduler import Chunk, Plan, Scheduler
from inference.engine.sequence import FinishReason, Sequence
from inference.runtimes.runtime import Batch, Runtime, RuntimeMemoryError, SleepLevel
from telemetry.clock import Clock

_log = structlog.get_logger(__name__)


class Outcome(NamedTuple):
    """A drawn token, and why its sequence ends with it, if it does."""

    sequence: Sequence
    drawn: Drawn
    finish: FinishReason | None


class Failure(NamedTuple):
    """A sequence that failed, with all its request, and why."""

    sequence: Sequence
    error: EngineError


@dataclass(slots=True)
class Iteration:
    """What one iteration did, and the seconds that it took to."""

    plan: Plan
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    computed: list[Chunk] = field(default_factory=list)
    preemptions: int = 0
    plan_seconds: float = 0.0  # decide, and lay out batches
    run_seconds: float = 0.0  # in the runtime
    sample_seconds: float = 0.0  # draw and commit
    device_clock: float = 0.0  # seconds in the runtime of this and all iterations before it


@dataclass(frozen=True, slots=True)
class WakeSeconds:
    """How long waking took, by phase."""

    weights: float
    kv: float


class Core:
    """A scheduler and a runtime that do what it says."""

    def __init__(
        self,
        runtime: Runtime,
        scheduler: Scheduler,
        *,
        blocks: int,
        clock: Clock,
        reload: Callable[[], None] | None = None,
    ) -> None:
        self.scheduler = scheduler
        self._runtime = runtime
        self._blocks = blocks
        self._clock = clock
        self._reload = reload
        self._batches = Batches(runtime.block_size)
        self._asleep: SleepLevel | None = None
        self._device_clock = 0.0

    def iterate(self) -> Iteration:
        """Plan and compute one iteration."""
        began = self._clock.monotonic()
        plan = self.scheduler.plan(began)
        iteration = Iteration(plan, preemptions=plan.preemptions)
        for sequence in plan.joining:
            sequence.device_joined = self._device_clock
        iteration.plan_seconds = self._clock.monotonic() - began
        if plan.copies:
            self._copy(iteration)
        for group in group_by_length(plan.chunks):
            self._compute(group, iteration)
        self._device_clock += iteration.run_seconds
        iteration.device_clock = self._device_clock
        return iteration

    def sleep(self, level: SleepLevel) -> float:
        """Give up memory while no sequence is in flight; return the seconds it took."""
        began = self._clock.monotonic()
        if self._asleep is None or level > self._asleep:
            self._runtime.sleep(level)
            self._asleep = level
        return self._clock.monotonic() - began

    def wake(self) -> WakeSeconds:
        """Bring weights and an empty KV cache back."""
        began = self._clock.monotonic()
        if self._asleep is None:
            return WakeSeconds(0.0, 0.0)
        if self._asleep is SleepLevel.NOTHING and self._reload is not None:
            self._reload()
        else:
            self._runtime.wake()
        loaded = self._clock.monotonic()
        self._runtime.allocate_kv(self._blocks)
        self.scheduler.pool.forget()
        self._asleep = None
        return WakeSeconds(loaded - began, self._clock.monotonic() - loaded)

    def _copy(self, iteration: Iteration) -> None:
        began = self._clock.monotonic()
        self._runtime.copy_blocks(iteration.plan.copies)
        iteration.run_seconds += self._clock.monotonic() - began

    def _compute(self, group: list[Chunk], iteration: Iteration) -> None:
        """Run, sample and commit chunks of like length; those of failed requests are gone."""
        began = self._clock.monotonic()
        if iteration.failures:
            group = [chunk for chunk in group if chunk.sequence.blocks]
        if not group:
            return
        batch = self._batches.lay_out(group)
        laid_out = self._clock.monotonic()
        logits = self._step(batch, group, iteration)
        ran = self._clock.monotonic()
        if logits is not None:
            self._commit(group, logits, iteration)
        iteration.plan_seconds += laid_out - began
        iteration.run_seconds += ran - laid_out
        iteration.sample_seconds += self._clock.monotonic() - ran

    def _step(
        self, batch: Batch, group: list[Chunk], iteration: Iteration
    ) -> NDArray[np.float32] | None:
        """Run a batch; where memory is short, make the next one smaller and return None."""
        try:
            return self._runtime.step(batch)
        except RuntimeMemoryError as error:
            _log.warning("out of memory in a step", sequences=len(group), reason=str(error))
            if len(group) > 1:
                self.scheduler.retreat(group)
                iteration.preemptions += 1
            else:
                self._fail(group[0].sequence, OutOfMemoryError(str(error)), iteration)
            return None

    def _commit(
        self, group: list[Chunk], logits: NDArray[np.float32], iteration: Iteration
    ) -> None:
        self.scheduler.advance(group)
        iteration.computed += group
        rows, samplers = self._samplers(group, logits.shape[1], iteration)
        if rows:
            drawn = draw(logits if len(rows) == len(group) else logits[rows], samplers)
            for row, result in zip(rows, drawn, strict=True):
                self._append(group[row].sequence, result, iteration)

    def _samplers(
        self, group: list[Chunk], vocabulary: int, iteration: Iteration
    ) -> tuple[list[int], list[Sampler]]:
        """Return the rows that draw a token, and the sampler of each."""
        rows, samplers = [], []
        for row, chunk in enumerate(group):
            sequence = chunk.sequence
            if chunk.draws and sequence.blocks:
                sampler = sequence.sampler or self._new_sampler(sequence, vocabulary, iteration)
                if sampler is not None:
                    rows.append(row)
                    samplers.append(sampler)
        return rows, samplers

    def _new_sampler(
        self, sequence: Sequence, vocabulary: int, iteration: Iteration
    ) -> Sampler | None:
        request = sequence.request
        try:
            sequence.sampler = Sampler(
                request.sampling,
                request.prompt,
                vocabulary=vocabulary,
                choice=sequence.choice,
                constraint=request.constraint() if request.constraint else None,
            )
        except Exception as error:  # noqa: BLE001 - a grammar's library may raise anything
            self._fail(sequence, BadSamplingError(str(error)), iteration)
            return None
        return sequence.sampler

    def _append(self, sequence: Sequence, drawn: Drawn | DrawError, iteration: Iteration) -> None:
        if not sequence.blocks:  # another choice of its request has failed meanwhile
            return
        if isinstance(drawn, DrawError):
            self._fail(sequence, drawn, iteration)
            return
        finish = sequence.append(drawn.token, ends=drawn.ends)
        iteration.outcomes.append(Outcome(sequence, drawn, finish))
        if finish is not None:
            self.scheduler.remove(sequence)

    def _fail(self, sequence: Sequence, error: EngineError, iteration: Iteration) -> None:
        """End a request, all its choices, in one error."""
        for one in (sequence, *sequence.siblings):
            self.scheduler.remove(one)
        iteration.failures.append(Failure(sequence, error))
