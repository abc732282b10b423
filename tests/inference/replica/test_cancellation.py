"""Clients that leave, over real HTTP: their places are free again, and nothing of them stays."""

import asyncio

import pytest

TEXT = {"model": "tiny", "prompt": "once upon", "temperature": 0, "ignore_eos": True}
LONG = TEXT | {"max_tokens": 200}
LEFT = 'warmfront_replica_cancelled_total{{model="tiny",phase="{}_first_token",replica="r1"}}'


async def until_gone(one) -> dict[str, float]:
    """Wait until no block is used; then no stream may be left, and the pool must be whole."""
    await one.until_idle()
    (engine,) = one.replica._host.models.find("tiny").engines
    account = engine.stats().kv

    assert not engine._streams
    assert not engine._core.scheduler.has_work
    assert (account.used, account.held_tokens) == (0, 0)
    assert account.cached + account.free == account.blocks
    return await one.metrics()


async def counted(one, phase: str) -> None:
    """Wait until a request is counted as cancelled in a phase, and in no other."""
    await one.until(LEFT.format(phase).removeprefix("warmfront_replica_"), lambda count: count > 0)
    metrics = await one.metrics()
    assert [metrics[LEFT.format(one)] for one in ("before", "after")] == [
        phase == "before",
        phase == "after",
    ]


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_before_the_first_token(start, streamed):
    async with start(min_iteration_seconds=0.3) as one:
        ask = LONG | {"stream": streamed}
        asking = asyncio.create_task(one.http.post("/v1/completions", json=ask))
        await one.until_busy()  # the first iteration is held back for a while
        asking.cancel()
        await counted(one, "before")

        metrics = await until_gone(one)
        assert metrics["warmfront_replica_decode_tokens_total"] <= 1
        assert metrics["warmfront_replica_time_to_first_token_seconds_count"] == 0


async def test_in_mid_stream(start):
    async with start(min_iteration_seconds=0.02) as one:
        async with one.http.post("/v1/completions", json=LONG | {"stream": True}) as answer:
            await answer.content.readuntil(b"\n\n")
            await answer.content.readuntil(b"\n\n")
            answer.close()
        await counted(one, "after")

        metrics = await until_gone(one)
        assert 2 <= metrics["warmfront_replica_decode_tokens_total"] < 200


async def test_while_a_whole_answer_is_made(start):
    async with start(min_iteration_seconds=0.02) as one:
        asking = asyncio.create_task(one.http.post("/v1/completions", json=LONG | {"n": 2}))
        await one.until("decode_tokens_total", lambda tokens: tokens > 4)
        asking.cancel()
        await counted(one, "after")

        assert (await until_gone(one))["warmfront_replica_decode_tokens_total"] < 200


async def test_while_waiting_in_the_queue(start):
    async with start(slots=1, min_iteration_seconds=0.02) as one:
        first = asyncio.create_task(one.complete(**TEXT, max_tokens=60))
        await one.until_busy()
        second = asyncio.create_task(one.http.post("/v1/completions", json=LONG))
        await one.until("requests_waiting", lambda waiting: waiting == 1)
        second.cancel()
        await one.until("requests_waiting", lambda waiting: waiting == 0)
        await counted(one, "before")

        assert (await first)["usage"]["completion_tokens"] == 60
        metrics = await until_gone(one)
        assert metrics["warmfront_replica_decode_tokens_total"] == 60
        assert metrics["warmfront_replica_preemptions_total"] == 0


async def test_one_of_many_takes_nobody_with_it(start):
    async with start(slots=4, min_iteration_seconds=0.005) as one:
        alone = await one.complete(**TEXT, max_tokens=40)
        staying = [asyncio.create_task(one.complete(**TEXT, max_tokens=40)) for _ in range(6)]
        leaving = [
            asyncio.create_task(one.http.post("/v1/completions", json=LONG | {"stream": streamed}))
            for streamed in (True, False) * 3
        ]
        await one.until("decode_tokens_total", lambda tokens: tokens > 60)
        for task in leaving:
            task.cancel()
        for task in await asyncio.gather(*leaving, return_exceptions=True):
            if not isinstance(task, BaseException):
                task.close()

        assert all(
            answer["choices"] == alone["choices"] for answer in await asyncio.gather(*staying)
        )
        await until_gone(one)
