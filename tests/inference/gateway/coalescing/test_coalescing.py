import asyncio
from contextlib import suppress

import pytest

from inference.gateway.coalescing.coalescing import Coalescing
from inference.gateway.coalescing.errors import KeyReusedError
from inference.gateway.coalescing.seat import Leader, Source
from inference.gateway.coalescing.settings import CoalescingSettings
from inference.gateway.errors import OverloadedError
from inference.gateway.outlet import Whole
from telemetry.clock import ManualClock
from telemetry.publish import Metrics
from tests.inference.gateway.coalescing.outlets import (
    DONE,
    TIMINGS,
    WHOLE,
    Script,
    Taker,
    ask,
    settle,
    token,
    usage_event,
)


class Gateway:
    def __init__(self, **settings):
        self.clock = ManualClock(100.0)
        self.metrics = Metrics()
        self.coalescing = Coalescing(
            CoalescingSettings(**settings), metrics=self.metrics, now=self.clock.monotonic
        )
        self.calls = 0

    async def send(self, asked, upstream, *, tenant="acme", headers=None):
        """Return what the client got, and where from."""
        taker = Taker()
        with self.coalescing.board(
            asked, upstream, tenant=tenant, headers=headers or {}, leader=Leader("r")
        ) as seat:
            await seat.deliver(taker)
        return taker, seat.source

    async def answer_whole(self, outlet):
        self.calls += 1
        await asyncio.sleep(0)
        await outlet.whole(WHOLE)

    async def answer_stream(self, outlet):
        self.calls += 1
        await outlet.begin({"Content-Type": "text/event-stream"})
        await outlet.write([token("a")], self.clock.monotonic())
        await outlet.write([usage_event(), TIMINGS, DONE], self.clock.monotonic())
        await outlet.end()

    async def refuse(self, outlet):
        self.calls += 1
        await outlet.whole(Whole(400, b"no"))

    async def overload(self, _outlet):
        self.calls += 1
        raise OverloadedError("full")

    def counted(self, source):
        values = {
            (one.name, one.labels.get("source")): one.value for one in self.metrics.samples(0)
        }
        return (
            values.get(("warmfront_gateway_coalesced_total", source), 0),
            values.get(("warmfront_gateway_saved_tokens_total", source), 0),
        )

    @property
    def cache_bytes(self):
        (size,) = (
            one.value
            for one in self.metrics.samples(0)
            if one.name == "warmfront_gateway_cache_bytes"
        )
        return size


async def send_together(gateway, *asks, **options):
    return await asyncio.gather(
        *(gateway.send(asked, gateway.answer_whole, **options) for asked in asks)
    )


async def test_equal_requests_at_one_time_cost_one():
    gateway = Gateway()
    async with gateway.coalescing:
        sent = await send_together(gateway, ask(), ask(user="b"), ask(seed=1))

    assert gateway.calls == 2
    assert [source for _taker, source in sent] == [Source.OWN, Source.FLIGHT, Source.OWN]
    assert sent[1][0].ending.headers["X-Warmfront-Coalesced"] == "follower"
    assert gateway.counted("flight") == (1, 7)


@pytest.mark.parametrize(
    "alone",
    [
        pytest.param({"asked": ask(temperature=1)}, id="sampled"),
        pytest.param({"headers": {"Cache-Control": "no-cache"}}, id="no-cache"),
        pytest.param({"headers": {"Cache-Control": "no-store"}}, id="no-store"),
        pytest.param({"settings": {"enabled": False}}, id="switched off"),
    ],
)
async def test_who_shares_nothing_is_computed_alone(alone):
    gateway = Gateway(cache_seconds=60, **alone.get("settings", {}))
    asked, headers = alone.get("asked", ask()), alone.get("headers")
    async with gateway.coalescing:
        sent = await send_together(gateway, asked, asked, headers=headers)
        sent += await send_together(gateway, asked, headers=headers)

    assert gateway.calls == 3
    assert {source for _taker, source in sent} == {Source.OWN}
    assert all(taker.ending is WHOLE for taker, _source in sent)


async def test_no_tenant_gets_the_answer_of_another():
    gateway = Gateway(cache_seconds=60)
    async with gateway.coalescing:
        for tenant in ("acme", "other"):
            await gateway.send(ask(), gateway.answer_whole, tenant=tenant)

    assert gateway.calls == 2


async def test_one_that_is_computed_alone_is_told_its_error_like_all_others():
    gateway = Gateway(enabled=False)
    async with gateway.coalescing:
        taker, _source = await gateway.send(ask(), gateway.overload)

    assert isinstance(taker.ending, OverloadedError)


async def test_one_that_is_computed_alone_is_cancelled_with_its_client():
    gateway, script = Gateway(), Script()
    async with gateway.coalescing:
        sending = asyncio.create_task(gateway.send(ask(temperature=1), script))
        await settle()
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending

    assert script.is_cancelled


async def test_a_stream_is_kept_and_given_again_as_a_stream():
    gateway = Gateway(cache_seconds=60)
    asked = ask(stream=True)
    async with gateway.coalescing:
        await gateway.send(asked, gateway.answer_stream)
        gateway.clock.advance(12.7)
        taker, source = await gateway.send(asked, gateway.answer_stream)

    assert source is Source.CACHE
    assert taker.headers == {
        "Content-Type": "text/event-stream", "X-Warmfront-Cache": "hit", "Age": "12",
    }  # fmt: skip
    assert taker.writes == [([token("a"), usage_event(), DONE], 112.7)]
    assert taker.ending == "end"
    assert gateway.counted("cache") == (1, 7)
    assert gateway.cache_bytes > 0


async def test_a_whole_answer_is_kept_until_its_time_is_over():
    gateway = Gateway(cache_seconds=60)
    async with gateway.coalescing:
        await gateway.send(ask(), gateway.answer_whole)
        gateway.clock.advance(59)
        taker, _source = await gateway.send(ask(), gateway.answer_whole)
        assert taker.ending.body == WHOLE.body
        assert taker.ending.headers["Age"] == "59"
        gateway.clock.advance(1)
        _taker, source = await gateway.send(ask(), gateway.answer_whole)

    assert source is Source.OWN


async def test_without_a_time_to_keep_it_no_answer_is_kept():
    gateway = Gateway()
    async with gateway.coalescing:
        for _ in range(2):
            await gateway.send(ask(), gateway.answer_whole)

    assert gateway.calls == 2


@pytest.mark.parametrize("upstream", ["refuse", "overload"])
async def test_what_is_no_success_is_asked_for_again(upstream):
    gateway = Gateway(cache_seconds=60)
    async with gateway.coalescing:
        for _ in range(2):
            await gateway.send(ask(), getattr(gateway, upstream))

    assert gateway.calls == 2
    assert gateway.counted("flight") == gateway.counted("cache") == (0, 0)


async def test_a_follower_whose_answer_failed_has_saved_nothing():
    gateway = Gateway()
    async with gateway.coalescing:
        await asyncio.gather(*(gateway.send(ask(), gateway.refuse) for _ in range(2)))

    assert gateway.calls == 1
    assert gateway.counted("flight") == (0, 0)


async def test_a_request_that_is_repeated_with_its_key_is_answered_as_before():
    gateway = Gateway(cache_seconds=60)
    sampled, headers = ask(temperature=1), {"Idempotency-Key": "k"}
    async with gateway.coalescing:
        for _ in range(2):
            _taker, source = await gateway.send(sampled, gateway.answer_whole, headers=headers)
        assert source is Source.CACHE
        with pytest.raises(KeyReusedError):
            await gateway.send(ask(temperature=2), gateway.answer_whole, headers=headers)

    assert gateway.calls == 1


async def test_there_is_no_gap_between_a_flight_and_the_cache():
    gateway, script = Gateway(cache_seconds=60), Script()
    asked = ask(stream=True)
    async with gateway.coalescing:
        leading = asyncio.create_task(gateway.send(asked, script))
        await script.begins()
        await script.writes(token())
        script.will(lambda outlet: outlet.end())
        sources = []
        for _ in range(20):
            _taker, source = await gateway.send(asked, gateway.answer_stream)
            sources.append(source)
        await leading
        script.returns()
        await settle()

    assert set(sources) <= {Source.FLIGHT, Source.CACHE}
    assert gateway.calls == 0


async def test_a_model_is_introduced_at_zero():
    gateway = Gateway()
    gateway.coalescing.introduce("m")

    assert gateway.counted("flight") == (0, 0)
    assert any(one.labels.get("source") == "cache" for one in gateway.metrics.samples(0))
