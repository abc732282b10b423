import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from inference.engine.engine import Engine, IterationReport
from inference.engine.errors import EngineBusyError, EngineStoppedError, PromptTooLongError
from inference.engine.sampling import Sampling
from inference.engine.scheduler import Limits
from inference.engine.sequence import FinishReason, Request, TokenEvent
from inference.models.checkpoint import Weights
from inference.models.spec import ModelSpec
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.runtime import Runtime
from telemetry.clock import SystemClock

DEADLINE = 10.0


@asynccontextmanager
async def running(
    runtime: Runtime, *, blocks: int = 64, slots: int = 4, **options: object
) -> AsyncIterator[Engine]:
    runtime.allocate_kv(blocks)
    settings = {"context": 200, "clock": SystemClock(), "limits": Limits(slots, 32)} | options
    engine = Engine(runtime, blocks=blocks, **settings)
    engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def events_of(engine: Engine, request: Request) -> list[TokenEvent]:
    async with asyncio.timeout(DEADLINE):
        return [event async for event in engine.submit(request)]


async def tokens_of(engine: Engine, request: Request) -> list[int]:
    return [event.token for event in await events_of(engine, request)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - the engine's thread sets no event
            await asyncio.sleep(0.001)


def request(name: str = "a", *, prompt: int = 6, max_tokens: int = 8, **fields: object) -> Request:
    return Request(name, tuple(range(1, prompt + 1)), max_tokens, **fields)


ENDLESS = request("endless", max_tokens=190)


async def test_an_answer_comes_token_by_token_and_says_why_it_ends(runtime, answer):
    async with running(runtime) as engine:
        events = await events_of(engine, request())

    assert [event.token for event in events] == answer(request())
    assert [event.finish for event in events] == [None] * 7 + [FinishReason.LENGTH]


async def test_a_stop_token_ends_an_answer(runtime, answer):
    third = answer(request())[2]
    stopping = request(stop_tokens=frozenset({third}))
    async with running(runtime) as engine:
        events = await events_of(engine, stopping)

    assert [event.token for event in events] == answer(stopping)
    assert events[-1].finish is FinishReason.STOP


async def test_batched_answers_equal_lone_ones(runtime, answer):
    requests = [request(str(n), prompt=3 + 7 * n, max_tokens=5 + n) for n in range(9)]
    async with running(runtime) as engine:
        together = await asyncio.gather(*(tokens_of(engine, one) for one in requests))

    assert together == [answer(one) for one in requests]
    assert max(runtime.rows) == 4


async def test_the_real_runtime_samples_the_same_alone_and_in_a_batch(
    spec: ModelSpec, weights: Weights
):
    real = OnnxRuntime(block_size=4)
    real.load(spec, weights)
    requests = [
        request(str(n), prompt=2 + 9 * n, max_tokens=12,
                sampling=Sampling(temperature=0.9, top_p=0.95, top_k=40, seed=n))
        for n in range(6)
    ]  # fmt: skip
    async with running(real, blocks=30) as engine:
        alone = [await tokens_of(engine, one) for one in requests]
        together = await asyncio.gather(*(tokens_of(engine, one) for one in requests))

    assert together == alone
    assert len({tuple(one) for one in alone}) == len(alone)


async def test_a_short_request_overtakes_a_long_one_that_came_first(runtime):
    async with (
        running(runtime, min_iteration_seconds=0.01) as engine,
        aclosing(engine.submit(ENDLESS)) as long,
    ):
        await anext(long)
        await tokens_of(engine, request("short", max_tokens=3))

        assert (await anext(long)).finish is None
        assert engine.stats().running == 1


async def test_a_long_prompt_does_not_stop_others_from_decoding(runtime):
    reports: list[IterationReport] = []
    async with (
        running(runtime, observe=reports.append, min_iteration_seconds=0.01) as engine,
        aclosing(engine.submit(ENDLESS)) as decoding,
    ):
        await anext(decoding)
        await tokens_of(engine, request("long", prompt=150, max_tokens=1))

    prefills = [report for report in reports if report.prefill_tokens > 6]
    assert len(prefills) == 5
    assert all(report.generated_tokens >= 1 for report in prefills)


async def test_cancelling_frees_the_blocks(runtime):
    async with running(runtime, min_iteration_seconds=0.01) as engine:
        tokens = engine.submit(ENDLESS)
        await anext(tokens)
        assert engine.stats().kv_usage > 0
        engine.cancel(ENDLESS.id)
        engine.cancel(ENDLESS.id)
        await until(lambda: engine.stats().kv_usage == 0)

        assert engine.stats().running == 0
        await tokens.aclose()


async def test_a_consumer_that_leaves_cancels(runtime):
    async with running(runtime, min_iteration_seconds=0.01) as engine:
        async with aclosing(engine.submit(ENDLESS)) as tokens:
            await anext(tokens)
        await until(lambda: engine.stats().kv_usage == 0)

        assert await tokens_of(engine, request())


async def test_a_paced_iteration_still_obeys_a_cancellation(runtime):
    async with running(runtime, min_iteration_seconds=60.0) as engine:
        waiting = asyncio.create_task(tokens_of(engine, request()))
        await until(lambda: engine.stats().kv_usage > 0)
        waiting.cancel()

        await until(lambda: engine.stats().kv_usage == 0)


async def test_pacing_holds_every_iteration_to_its_shortest_time(runtime):
    reports: list[IterationReport] = []
    async with running(runtime, observe=reports.append, min_iteration_seconds=0.01) as engine:
        events = await events_of(engine, request(max_tokens=4))

    assert len(reports) == 4
    assert all(report.seconds >= 0.01 for report in reports)
    assert events[-1].timings.prefill >= 0.01
    assert events[-1].timings.decode >= 0.03


async def test_a_paced_request_counts_as_running_until_its_last_token_is_out(runtime):
    async with running(runtime, min_iteration_seconds=60.0) as engine:
        last = asyncio.create_task(tokens_of(engine, request(max_tokens=1)))
        await until(lambda: bool(runtime.rows))
        await until(lambda: engine.stats().kv_usage == 0)

        assert (engine.stats().running, engine.stats().waiting) == (1, 0)
        last.cancel()


async def test_stages_are_timed(runtime):
    async with running(runtime) as engine:
        events = await events_of(engine, request())

    last = events[-1].timings
    assert events[0].timings.decode == 0
    assert last.queue >= 0
    assert last.prefill > 0
    assert last.decode > 0


async def test_iterations_are_reported(runtime):
    reports: list[IterationReport] = []
    async with running(runtime, observe=reports.append) as engine:
        await tokens_of(engine, request(prompt=40, max_tokens=3))

    assert [report.prefill_tokens for report in reports] == [32, 8, 0, 0]
    assert [report.generated_tokens for report in reports] == [0, 1, 1, 1]
    assert {report.sequences for report in reports} == {1}


async def test_an_answer_too_long_for_the_context_is_refused_with_both_numbers(runtime):
    async with running(runtime) as engine:
        with pytest.raises(PromptTooLongError, match=r"200 tokens.*201 \(6 in the prompt, 195"):
            engine.submit(request(max_tokens=195))

        assert await tokens_of(engine, request())


async def test_the_cache_bounds_the_context_too(runtime):
    async with running(runtime, blocks=11) as engine:
        assert engine.context == 40
        with pytest.raises(PromptTooLongError):
            engine.submit(request(prompt=30, max_tokens=11))


async def test_requests_beyond_the_queue_are_refused(runtime):
    async with (
        running(runtime, slots=1, max_waiting=1, min_iteration_seconds=0.01) as engine,
        aclosing(engine.submit(ENDLESS)) as tokens,
    ):
        await anext(tokens)
        waiting = asyncio.create_task(tokens_of(engine, request("waits")))
        await until(lambda: engine.stats().waiting == 1)

        with pytest.raises(EngineBusyError, match="1 requests are running and 1 are waiting"):
            engine.submit(request("too many"))
        waiting.cancel()


async def test_a_request_cannot_be_submitted_twice(runtime):
    async with (
        running(runtime, min_iteration_seconds=0.01) as engine,
        aclosing(engine.submit(ENDLESS)) as tokens,
    ):
        await anext(tokens)
        with pytest.raises(ValueError, match="in flight already"):
            engine.submit(ENDLESS)


async def test_a_runtime_failure_ends_every_request_with_one_clear_error(runtime):
    runtime.fails_at = 3
    async with running(runtime) as engine:
        results = await asyncio.gather(
            *(tokens_of(engine, request(str(n))) for n in range(3)), return_exceptions=True
        )

        assert {str(one) for one in results} == {"the engine failed: the device fell off the bus"}
        assert await engine.ended() == "the engine failed: the device fell off the bus"
        assert engine.stats().failure == await engine.ended()
        with pytest.raises(EngineStoppedError, match="fell off the bus"):
            engine.submit(request())


async def test_stopping_ends_requests_in_flight(runtime):
    async with running(runtime, min_iteration_seconds=60.0) as engine:
        waiting = asyncio.create_task(tokens_of(engine, request()))
        await until(lambda: engine.stats().kv_usage > 0)
        await engine.stop()

        with pytest.raises(EngineStoppedError, match="stopped"):
            await waiting
        assert await engine.ended() is None


async def test_many_arrivals_and_departures_leave_nothing_behind(runtime, answer):
    async def visit(number: int) -> None:
        one = request(str(number), prompt=1 + number * 7 % 30, max_tokens=1 + number % 13)
        received = []
        async with aclosing(engine.submit(one)) as tokens:
            async for event in tokens:
                received.append(event.token)
                if number % 3 == 0 and len(received) > number % 5:
                    break
        assert received == answer(one)[: len(received)]
        assert number % 3 == 0 or received == answer(one)

    async with running(runtime, blocks=24, context=60) as engine, asyncio.timeout(DEADLINE):
        await asyncio.gather(*(visit(number) for number in range(60)))
        await until(lambda: engine.stats().kv_usage == 0)

        assert (engine.stats().running, engine.stats().waiting) == (0, 0)
