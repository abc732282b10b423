"""Whether an engine gets on, as others see it."""

import asyncio
import threading

from inference.engine.progress import Progress
from inference.engine.sequence import Request
from telemetry.clock import ManualClock
from tests.inference.engine.conftest import EchoRuntime
from tests.inference.engine.test_engine import running, until


class HangingRuntime(EchoRuntime):
    """Computes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_in = threading.Event()
        self.let_go = threading.Event()

    def step(self, batch):
        self.is_in.set()
        assert self.let_go.wait(10.0)
        return super().step(batch)


def test_age_counts_from_the_last_step_or_from_the_work_that_came_to_an_idle_engine():
    progress = Progress()
    progress.step(10.0)
    assert progress.age(15.0) == 5.0

    progress.begin(100.0)
    assert progress.age(101.0) == 1.0
    progress.step(102.0)
    assert (progress.age(102.5), progress.steps) == (0.5, 2)


async def test_an_engine_that_hangs_grows_old_even_when_everybody_has_left():
    runtime, clock = HangingRuntime(), ManualClock(1000.0)
    async with running(runtime, clock=clock) as engine:
        clock.advance(500.0)
        assert engine.stats().progress_age == 0.0  # idle

        tokens = engine.submit(Request("a", (1, 2, 3), 2))
        first = asyncio.ensure_future(anext(tokens))
        await asyncio.to_thread(runtime.is_in.wait, 10.0)
        clock.advance(30.0)
        assert engine.stats().progress_age == 30.0
        assert engine.waiting_tokens == 3
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await tokens.aclose()
        assert engine.stats().running == 0
        assert engine.stats().progress_age == 30.0

        runtime.let_go.set()
        await until(lambda: engine.stats().progress_age == 0.0)
        assert engine.stats().steps == 1


async def test_waiting_tokens_are_those_of_prompts_that_are_not_computed():
    hanging = HangingRuntime()
    async with running(hanging, slots=1) as engine:
        asked = [Request(name, (1,) * 5, 3, choices=2) for name in "ab"]
        answers = [asyncio.ensure_future(_all(engine.submit(one))) for one in asked]
        await asyncio.sleep(0)
        assert engine.waiting_tokens == 10
        hanging.let_go.set()
        await asyncio.gather(*answers)
        assert engine.waiting_tokens == 0


async def _all(tokens) -> None:
    async for _ in tokens:
        pass
