"""Warmfront's engine on ONNX Runtime: scheduler, KV cache and sampling included, no HTTP."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from worker import serve

sys.path.insert(0, str(Path(__file__).parents[2]))
from inference.engine.admission import Admission, Continuous, Static
from inference.engine.core import Core, Iteration
from inference.engine.kv_cache import BlockPool
from inference.engine.sampling import GREEDY
from inference.engine.scheduler import Limits, Scheduler
from inference.engine.sequence import Request, Sequence, sequences_of
from inference.models.checkpoint import load_weights
from inference.models.precision import Lowering, Precision
from inference.models.spec import load_spec
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.runtime import RuntimeSettings

SLOTS = 32
PROMPT_LENGTHS, ANSWER_LENGTHS = (16, 256), (8, 256)  # of mixed arrivals, log-uniform


class CpuClock:
    """Seconds that this process has computed, and those it was told to skip."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        return self.monotonic()

    def monotonic(self) -> float:
        return time.process_time() + self._skipped

    def skip(self, seconds: float) -> None:
        """Go on as if this time had passed with nothing to compute."""
        self._skipped += max(0.0, seconds)


class TimedSession:
    """A session that adds up the CPU seconds of its runs."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.seconds = 0.0

    def run_with_iobinding(self, binding: Any) -> None:
        began = time.process_time()
        self._session.run_with_iobinding(binding)
        self.seconds += time.process_time() - began

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@dataclass(frozen=True)
class Arrival:
    """A request of a made-up load."""

    at: float
    prompt: int
    answer: int


class Warmfront:
    """Variants: lowering and precision, such as `paged-int8`."""

    def __init__(self, folder: Path, variant: str) -> None:
        lowering, precision = variant.split("-")
        self._spec = load_spec(folder)
        settings = RuntimeSettings(lowering=Lowering(lowering), precision=Precision(precision))
        self._runtime = OnnxRuntime(settings)
        self._runtime.load(self._spec, load_weights(folder, self._spec))
        self._graph = TimedSession(self._runtime._session)  # noqa: SLF001 - what no user needs
        self._runtime._session = self._graph  # noqa: SLF001
        self._clock = CpuClock()
        self._random = np.random.default_rng(0)
        self._count = 0

    def decode(self, *, batch: int, context: int, steps: int, pool: int = 1) -> float:
        core = self._decoding(batch, context, steps, pool)
        return float(np.mean([self._timed(core) for _ in range(steps)]))

    def overhead(self, *, batch: int, context: int, steps: int) -> float:
        """CPU seconds of an iteration outside the graph: Python, NumPy and binding."""
        core = self._decoding(batch, context, steps, 1)
        times = []
        for _ in range(steps):
            self._graph.seconds = 0.0
            times.append(self._timed(core) - self._graph.seconds)
        return float(np.median(times))

    def prefill(self, *, tokens: int) -> float:
        core = self._core(batch=1, context=tokens + 1, budget=Limits(1).token_budget)
        (sequence,) = self._add(core, 1, tokens, 2)
        began = self._clock.monotonic()
        while not sequence.answered:
            core.iterate()
        return self._clock.monotonic() - began

    def waste(self, *, batch: int, context: int) -> float:
        """Share of allocated KV slots that hold no token, mean over a decode of 64 steps."""
        core = self._decoding(batch, context, 64, 1)
        shares = []
        for _ in range(64):
            core.iterate()
            shares.append(core.scheduler.pool.account().waste)
        return float(np.mean(shares))

    def prefix_hit(self, *, tokens: int) -> float:
        """CPU seconds to the first token of a prompt that was computed before, over those then."""
        core = self._core(batch=2, context=tokens + 2, budget=tokens + 1)
        prompt = self._prompt(tokens)
        first, second = (self._first_token(core, prompt) for _ in range(2))
        return second / first

    def serve(self, *, policy: str, rate: float, requests: int) -> dict[str, float]:
        """Serve Poisson arrivals of mixed lengths; time is what the engine computes.

        Gaps with nothing to do are skipped: the times are those of an otherwise idle machine.
        """
        admission: Admission = Continuous() if policy == "continuous" else Static(SLOTS)
        core = self._core(batch=SLOTS, context=512, budget=256, admission=admission)
        return self._play(core, self._load(rate, requests))

    def _decoding(self, batch: int, context: int, steps: int, pool: int) -> Core:
        length = context + steps + 8
        core = self._core(batch=batch, context=length, budget=batch * length, pool=pool)
        sequences = self._add(core, batch, context, steps + 8)
        while not all(one.is_decoding for one in sequences):
            core.iterate()
        for _ in range(2):
            core.iterate()
        return core

    def _core(
        self,
        *,
        batch: int,
        context: int,
        budget: int,
        pool: int = 1,
        admission: Admission = Continuous(),  # noqa: B008 - frozen
    ) -> Core:
        size = self._runtime.block_size
        blocks = 1 + pool * batch * -(-(context + 1) // size)
        self._runtime.allocate_kv(blocks)
        limits = Limits(slots=batch, token_budget=max(budget, batch + 1))
        scheduler = Scheduler(limits, BlockPool(blocks, block_size=size), admission=admission)
        return Core(self._runtime, scheduler, blocks=blocks, clock=self._clock)

    def _add(self, core: Core, count: int, tokens: int, answer: int) -> list[Sequence]:
        return [self._join(core, self._prompt(tokens), answer) for _ in range(count)]

    def _join(
        self, core: Core, prompt: tuple[int, ...], answer: int, at: float | None = None
    ) -> Sequence:
        self._count += 1
        request = Request(str(self._count), prompt, answer, GREEDY)
        arrived = self._clock.monotonic() if at is None else at
        (sequence,) = sequences_of(request, arrived)
        core.scheduler.add(sequence)
        return sequence

    def _prompt(self, tokens: int) -> tuple[int, ...]:
        return tuple(self._random.integers(5, self._spec.vocabulary, tokens).tolist())

    def _timed(self, core: Core) -> float:
        began = self._clock.monotonic()
        core.iterate()
        return self._clock.monotonic() - began

    def _first_token(self, core: Core, prompt: tuple[int, ...]) -> float:
        sequence = self._join(core, prompt, 1)
        began = self._clock.monotonic()
        while not sequence.answered:
            core.iterate()
        return self._clock.monotonic() - began

    def _load(self, rate: float, requests: int) -> list[Arrival]:
        random = np.random.default_rng(1)
        times = np.cumsum(random.exponential(1 / rate, requests))
        prompts = _log_uniform(random, PROMPT_LENGTHS, requests)
        answers = _log_uniform(random, ANSWER_LENGTHS, requests)
        return [Arrival(*one) for one in zip(times, prompts, answers, strict=True)]

    def _play(self, core: Core, load: list[Arrival]) -> dict[str, float]:
        began = self._clock.monotonic()
        ahead, waits, tokens = list(reversed(load)), [], 0
        while ahead or core.scheduler.has_work:
            now = self._clock.monotonic() - began
            if not core.scheduler.has_work and ahead[-1].at > now:
                self._clock.skip(ahead[-1].at - now)
                now = ahead[-1].at
            while ahead and ahead[-1].at <= now:
                one = ahead.pop()
                self._join(core, self._prompt(one.prompt), one.answer, began + one.at)
            iteration = core.iterate()
            tokens += len(iteration.outcomes)
            waits += self._first_waits(iteration)
        seconds = self._clock.monotonic() - began
        return {"ttft_p95": float(np.quantile(waits, 0.95)), "tokens_per_second": tokens / seconds}

    def _first_waits(self, iteration: Iteration) -> list[float]:
        now = self._clock.monotonic()
        return [
            now - outcome.sequence.arrived
            for outcome in iteration.outcomes
            if outcome.sequence.answered == 1
        ]


def _log_uniform(random: np.random.Generator, bounds: tuple[int, int], count: int) -> list[int]:
    low, high = np.log(bounds)
    return np.exp(random.uniform(low, high, count)).astype(int).tolist()


if __name__ == "__main__":
    serve(Warmfront)
