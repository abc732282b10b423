import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from inference.engine.engine import Engine, IterationReport
from inference.engine.errors import (
    DrawError,
    EngineAsleepError,
    EngineBusyError,
    EngineStoppedError,
    PromptTooLongError,
)
from inference.engine.sampling import Sampling
from inference.engine.scheduler import Limits
from inference.engine.sequence import FinishReason, Request, TokenEvent
from inference.runtimes.runtime import Runtime, RuntimeFailedError, SleepLevel
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
HOT = Sampling(temperature=3.0, seed=3)


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


async def test_choices_come_in_one_stream_and_end_apart(runtime, answer):
    asked = request(choices=3, sampling=HOT)
    stopping = request(choices=3, sampling=HOT, stop_tokens=frozenset({answer(asked, 1)[2]}))
    async with running(runtime) as engine:
        events = await events_of(engine, stopping)

    for choice in range(3):
        own = [event for event in events if event.choice == choice]
        assert [event.token for event in own] == answer(stopping, choice)
        assert [event.finish is None for event in own[:-1]] == [True] * (len(own) - 1)
        assert own[-1].finish is not None


async def test_more_choices_than_slots_take_turns(runtime, answer):
    asked = request(choices=5, sampling=HOT)
    async with running(runtime, slots=2) as engine:
        events = await events_of(engine, asked)

    for choice in range(5):
        assert [one.token for one in events if one.choice == choice] == answer(asked, choice)


async def test_log_probabilities_come_with_the_tokens(runtime):
    async with running(runtime) as engine:
        events = await events_of(engine, request(sampling=Sampling(0.0, logprobs=2)))

    for event in events:
        assert event.top[0] == (event.token, event.logprob)
        assert len(event.top) == 2
        assert event.logprob < 0


async def test_a_short_request_overtakes_a_long_one_that_came_first(runtime):
    async with (
        running(runtime, min_iteration_seconds=0.01) as engine,
        aclosing(engine.submit(ENDLESS)) as long,
    ):
        await anext(long)
        await tokens_of(engine, request("short", max_tokens=3))

        assert (await anext(long)).finish is None
        assert engine.stats().running == 1


async def test_a_name_may_be_used_again_once_its_request_is_cancelled(runtime, answer):
    again = request("endless", prompt=9)
    async with running(runtime, min_iteration_seconds=0.05) as engine:
        async with aclosing(engine.submit(ENDLESS)) as first:
            await anext(first)
            steps = len(runtime.rows)
            await until(lambda: len(runtime.rows) > steps)  # a token of the first is on its way

        assert await tokens_of(engine, again) == answer(again)


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


async def test_a_cancelled_request_ends_its_stream(runtime):
    async with running(runtime, min_iteration_seconds=60.0) as engine:
        waiting = asyncio.create_task(tokens_of(engine, request()))
        await until(lambda: engine.stats().running == 1)
        engine.cancel("a")

        assert await waiting == []


async def test_one_choice_can_be_cancelled_and_the_others_go_on(runtime, answer):
    asked = request(choices=3, max_tokens=30, sampling=HOT)
    got: dict[int, list[int]] = {0: [], 1: [], 2: []}
    async with (
        running(runtime, min_iteration_seconds=0.005) as engine,
        aclosing(engine.submit(asked)) as events,
    ):
        async for event in events:
            got[event.choice].append(event.token)
            if event.choice == 1 and len(got[1]) == 2:
                engine.cancel(asked.id, choice=1)
                engine.cancel(asked.id, choice=1)

        await until(lambda: engine.stats().kv_usage == 0)

    assert got == {0: answer(asked, 0), 1: answer(asked, 1)[:2], 2: answer(asked, 2)}


async def test_a_request_whose_every_choice_is_cancelled_is_over(runtime):
    async with running(runtime, min_iteration_seconds=0.01) as engine:
        asked = request(choices=2, max_tokens=150)
        waiting = asyncio.create_task(tokens_of(engine, asked))
        await until(lambda: engine.stats().running == 2)
        engine.cancel(asked.id, choice=0)
        engine.cancel(asked.id, choice=1)

        await waiting
        assert (engine.stats().running, engine.stats().waiting) == (0, 0)


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


async def test_cached_prompts_are_reported_and_not_computed(runtime):
    reports: list[IterationReport] = []
    async with running(runtime, observe=reports.append) as engine:
        await tokens_of(engine, request("a", prompt=21, max_tokens=1))
        await tokens_of(engine, request("b", prompt=21, max_tokens=1))
        account = engine.stats().kv

    assert [(one.prefill_tokens, one.cached_tokens) for one in reports] == [(21, 0), (1, 20)]
    assert (account.queried_tokens, account.hit_tokens) == (42, 20)
    assert (account.used, account.cached) == (0, 5)


async def test_the_time_of_an_iteration_is_told_by_stage(runtime):
    reports: list[IterationReport] = []
    async with running(runtime, observe=reports.append) as engine:
        await tokens_of(engine, request())

    for report in reports:
        assert report.overhead_seconds + report.run_seconds <= report.seconds
        assert min(report.plan_seconds, report.run_seconds, report.sample_seconds) > 0


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


async def test_a_request_that_fails_has_its_own_error_and_the_rest_goes_on(
    runtime, answer, poison: int
):
    broken = Request("broken", (1, poison), max_tokens=5)
    async with running(runtime) as engine:
        good = asyncio.create_task(tokens_of(engine, request(max_tokens=20)))
        with pytest.raises(DrawError, match="no finite logits"):
            await tokens_of(engine, broken)

        assert await good == answer(request(max_tokens=20))
        await until(lambda: engine.stats().kv_usage == 0)
        assert engine.stats().failure is None


async def test_a_sleeping_engine_takes_nothing_until_it_is_woken(runtime, answer):
    async with running(runtime) as engine:
        await tokens_of(engine, request())
        assert await engine.sleep(SleepLevel.HOST_WEIGHTS) >= 0
        assert engine.stats().is_asleep
        with pytest.raises(EngineAsleepError, match="wake it first"):
            engine.submit(request())
        seconds = await engine.wake()

        assert seconds.weights >= 0
        assert seconds.kv >= 0
        assert await tokens_of(engine, request()) == answer(request())
    assert runtime.calls == ["allocate_kv", "sleep 1", "wake", "allocate_kv"]


async def test_from_the_second_level_the_model_is_loaded_anew(runtime, answer):
    async with running(runtime, reload=lambda: runtime.load(None, None)) as engine:
        await engine.sleep(SleepLevel.HOST_WEIGHTS)
        await engine.sleep(SleepLevel.NOTHING)
        await engine.wake()

        assert await tokens_of(engine, request()) == answer(request())
    assert runtime.calls == ["allocate_kv", "sleep 1", "sleep 2", "load", "allocate_kv"]


async def test_weights_that_cannot_be_reloaded_are_not_dropped(runtime):
    async with running(runtime) as engine:
        with pytest.raises(ValueError, match="cannot reload"):
            await engine.sleep(SleepLevel.NOTHING)

        assert not engine.stats().is_asleep


async def test_nobody_sleeps_while_requests_are_in_flight(runtime):
    async with (
        running(runtime, min_iteration_seconds=0.01) as engine,
        aclosing(engine.submit(ENDLESS)) as tokens,
    ):
        await anext(tokens)
        with pytest.raises(EngineBusyError, match="1 requests are in flight"):
            await engine.sleep(SleepLevel.HOST_WEIGHTS)

        assert (await anext(tokens)).finish is None


async def test_who_cannot_be_woken_stays_asleep_and_says_why(runtime):
    def fail() -> None:
        raise RuntimeFailedError("the weights are gone")

    async with running(runtime) as engine:
        await engine.sleep(SleepLevel.HOST_WEIGHTS)
        runtime.wake = fail
        with pytest.raises(RuntimeFailedError, match="weights are gone"):
            await engine.wake()

        assert engine.stats().is_asleep


async def test_an_engine_that_stops_keeps_nobody_waiting_who_wanted_it_to_sleep(runtime):
    async with running(runtime) as engine:
        await engine.stop()
        with pytest.raises(EngineStoppedError):
            await engine.sleep(SleepLevel.HOST_WEIGHTS)


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
