import asyncio
from contextlib import suppress

import numpy as np
import pytest

from inference.gateway.admission.line import Line
from inference.gateway.admission.meters import AdmissionMeters
from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.admission.sizes import Size
from inference.gateway.admission.work import Pace
from inference.gateway.errors import NoReplicaError, OverloadedError
from inference.gateway.routing.want import Want
from inference.gateway.tenancy.caller import Caller
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Timeline, Usage
from telemetry.clock import ManualClock
from telemetry.publish import Metrics
from tests.inference.gateway.admission.entries import Ask
from tests.inference.gateway.admission.fake_roster import (
    Exchange,
    FakeReplica,
    FakeRoster,
    Visit,
    record_of,
    settled,
)

WANT = Want("m", input_tokens=100, output_tokens=20)  # 200 units of work
PACE = Pace(output_weight=5.0, per_slot=100.0)  # hence 2 s of one slot


class Tier:
    """A line in front of a fake roster, on a clock that the test moves."""

    def __init__(self, *slots, **settings):
        self.roster = FakeRoster(*slots)
        self.visits = []  # keeps their tasks alive
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.line = Line(
            self.roster,
            AdmissionMeters(self.metrics),
            settings=AdmissionSettings(**settings),
            clock=self.clock,
            jitter=lambda: 0.0,
        )

    async def visit(self, want=WANT, exchange=None, **fields):
        one = Visit(self.line, want, exchange or Exchange(**fields))
        self.visits.append(one)
        await settled()
        return one

    async def pass_time(self, seconds):
        self.clock.advance(seconds)
        self.line.sweep()
        await settled()

    def value(self, name, **labels):
        for sample in self.metrics.samples(0.0):
            if sample.name == name and sample.labels == {"model": "m"} | labels:
                return sample.value
        return None

    @property
    def waiting(self):
        return sum(self.line.standing("m").waiting.values())


async def test_a_request_that_finds_room_goes_at_once():
    tier = Tier(1)
    tier.clock.advance(3.0)
    one = await tier.visit()
    timeline = one.exchange.timeline

    assert one.choice.record.id == "r0"
    assert (timeline.queued, timeline.admitted, timeline.routed) == (3.0, 3.0, 3.0)
    assert timeline.held_seconds == 0
    assert tier.roster.in_flight["r0"] == 1

    await one.end()
    assert tier.roster.in_flight["r0"] == 0


async def test_a_request_waits_for_room_and_its_wait_is_noted():
    tier = Tier(1)
    first = await tier.visit()
    second = await tier.visit()
    assert second.choice is None
    assert tier.waiting == 1

    tier.clock.advance(0.5)
    await first.end()
    await settled()
    timeline = second.exchange.timeline

    assert second.choice is not None
    assert (timeline.queued, timeline.admitted, timeline.routed) == (0.0, 0.0, 0.5)
    assert timeline.held_seconds == 0.5
    assert tier.roster.in_flight["r0"] == 1


async def test_urgent_requests_go_first():
    tier = Tier(1)
    holder = await tier.visit()
    batch = await tier.visit(priority=Priority.BATCH)
    urgent = await tier.visit(priority=Priority.INTERACTIVE)
    await holder.end()
    await settled()

    assert urgent.choice is not None
    assert batch.choice is None


async def test_a_request_that_waited_for_long_enough_overtakes_urgent_ones():
    tier = Tier(1, ageing_seconds=10.0)
    holder = await tier.visit()
    batch = await tier.visit(priority=Priority.BATCH)
    tier.clock.advance(20.1)
    urgent = await tier.visit(priority=Priority.INTERACTIVE)
    await holder.end()
    await settled()

    assert batch.choice is not None
    assert urgent.choice is None


async def test_a_retried_request_keeps_its_seniority_and_is_not_asked_again():
    tier = Tier(1, max_waiting=1)
    holder = await tier.visit()
    waiting = await tier.visit()
    timeline = Timeline(received=0.0, queued=-5.0, admitted=-5.0, held_seconds=0.25)
    retried = await tier.visit(timeline=timeline, is_retried=True)
    assert tier.waiting == 2  # beyond the bound

    await holder.end()
    await settled()
    assert retried.choice is not None
    assert waiting.choice is None
    assert (timeline.queued, timeline.admitted) == (-5.0, -5.0)
    assert timeline.held_seconds == 0.25


async def test_a_wait_beyond_the_budget_is_refused_with_the_time_to_come_back():
    tier = Tier(1)
    tier.line.learn_pace("m", PACE)
    holder = await tier.visit()
    first = await tier.visit(priority=Priority.INTERACTIVE)  # the next, whatever that takes
    with pytest.raises(OverloadedError, match="has 1 s to its first token") as refused:
        await (await tier.visit(priority=Priority.INTERACTIVE)).result()

    # 200 units wait, at 100 a second, and 0.7 s of the budget are for waiting
    assert refused.value.retry_after == pytest.approx(4.0 - 0.7)  # itself included
    assert refused.value.status == 429
    assert (
        tier.value(
            "warmfront_gateway_turned_away_total", priority="interactive", reason="predicted_wait"
        )
        == 1
    )

    batch = await tier.visit(priority=Priority.BATCH)  # which has a minute
    assert (first.choice, batch.choice, tier.waiting) == (None, None, 2)
    for one in (holder, first, batch):
        await one.leave()


async def test_nobody_is_refused_on_ignorance():
    tier = Tier(1, max_waiting=50)
    await tier.visit(priority=Priority.INTERACTIVE)
    for _ in range(50):
        await tier.visit(priority=Priority.INTERACTIVE)
    assert tier.waiting == 50

    with pytest.raises(OverloadedError, match="full of requests that go before it") as refused:
        await (await tier.visit(priority=Priority.INTERACTIVE)).result()
    assert refused.value.retry_after == 5.0


async def test_on_overflow_the_least_preferred_is_shed():
    tier = Tier(1, max_waiting=1)
    await tier.visit()
    batch = await tier.visit(priority=Priority.BATCH)
    urgent = await tier.visit(priority=Priority.INTERACTIVE)
    with pytest.raises(OverloadedError, match="took its place"):
        await batch.result()

    assert urgent.choice is None
    assert tier.waiting == 1
    assert tier.value("warmfront_gateway_turned_away_total", priority="batch", reason="shed") == 1


async def test_tenants_share_a_busy_tier():
    tier = Tier(1)
    holder = await tier.visit()
    many = [await tier.visit(caller=Caller("many")) for _ in range(3)]
    few = await tier.visit(caller=Caller("few"))
    order = []
    for one in [holder, *many, few]:
        one.task.add_done_callback(lambda _, one=one: order.append(one))
    served = holder
    for _ in range(4):
        await served.end()
        await settled()
        served = next(one for one in [*many, few] if one.choice and one not in order)
    await served.end()

    assert order == [holder, many[0], few, many[1], many[2]]


async def test_a_request_that_waited_far_beyond_its_budget_is_given_up():
    tier = Tier(1)
    await tier.visit()
    late = await tier.visit(priority=Priority.INTERACTIVE)
    patient = await tier.visit(priority=Priority.STANDARD)
    await tier.pass_time(1.5)
    assert tier.waiting == 2
    await tier.pass_time(0.1)
    with pytest.raises(OverloadedError, match="waited for far longer"):
        await late.result()

    assert patient.choice is None
    assert tier.waiting == 1


async def test_without_a_replica_requests_are_held_whatever_their_budget():
    tier = Tier(4, hold_seconds=30.0)
    tier.line.learn_pace("m", PACE)
    tier.roster.serve(is_serving=False)
    held = [await tier.visit(priority=Priority.INTERACTIVE) for _ in range(3)]
    await tier.pass_time(29.0)
    assert tier.waiting == 3

    tier.roster.serve(is_serving=True)
    await settled()
    assert all(one.choice for one in held)
    assert held[0].exchange.timeline.held_seconds == 29.0


async def test_a_hold_is_bounded_in_time():
    tier = Tier(4, hold_seconds=30.0, retry_after_seconds=7.0)
    tier.roster.serve(is_serving=False)
    held = await tier.visit()
    await tier.pass_time(30.0)
    with pytest.raises(NoReplicaError, match="No replica of model 'm' became ready within 30 s"):
        await held.result()
    assert held.task.exception().retry_after == 7.0
    assert tier.waiting == 0


async def test_the_time_of_a_hold_is_not_that_of_a_busy_tier():
    tier = Tier(1, hold_seconds=30.0)
    tier.roster.serve(is_serving=False)
    first = await tier.visit(priority=Priority.INTERACTIVE)
    second = await tier.visit(priority=Priority.INTERACTIVE)
    await tier.pass_time(10.0)
    tier.roster.serve(is_serving=True)
    await tier.pass_time(0.0)
    await tier.pass_time(1.4)
    assert (first.choice is not None, tier.waiting) == (True, 1)
    await tier.pass_time(0.2)
    with pytest.raises(OverloadedError):
        await second.result()


async def test_holding_can_be_switched_off():
    tier = Tier(1, hold_seconds=0.0)
    tier.roster.serve(is_serving=False)
    with pytest.raises(NoReplicaError):
        await (await tier.visit()).result()


async def test_a_version_without_a_replica_is_held_while_others_serve():
    tier = Tier(1, hold_seconds=30.0)
    canary = await tier.visit(Want("m", version="v2"), priority=Priority.INTERACTIVE)
    await tier.pass_time(20.0)
    assert canary.choice is None
    other = await tier.visit()
    assert other.choice is not None

    tier.roster.replicas.append(FakeReplica(record_of(9, 1, "v2")))
    tier.roster.tell_room()
    await settled()
    assert canary.choice.record.id == "r9"


async def test_special_needs_do_not_hold_up_others():
    tier = Tier(1, 1)
    tier.roster.replicas[1].takes_images = False
    first = await tier.visit(Want("m", has_images=True))
    second = await tier.visit()
    images = [await tier.visit(Want("m", has_images=True)) for _ in range(3)]
    plain = await tier.visit()
    await second.end()
    await settled()
    assert plain.choice.record.id == "r1"

    await plain.end()
    late = await tier.visit()  # comes while images wait, and finds room that they cannot use
    assert late.choice.record.id == "r1"
    assert [one.choice for one in images] == [None] * 3
    await first.leave()


async def test_many_who_wait_alike_cost_few_questions():
    tier = Tier(1, lookahead=32)
    holder = await tier.visit()
    waiting = [await tier.visit() for _ in range(200)]
    tier.roster.asked = 0
    await holder.end()
    await settled()

    assert waiting[0].choice is not None
    assert tier.roster.asked <= 2


async def test_choices_take_as_many_slots():
    tier = Tier(4)
    wide = await tier.visit(Want("m", choices=3))
    assert tier.roster.in_flight["r0"] == 3
    second = await tier.visit(Want("m", choices=2))
    assert second.choice is None
    await wide.end()
    await settled()
    assert tier.roster.in_flight["r0"] == 2


async def test_a_request_wider_than_any_replica_is_served_alone():
    tier = Tier(2)
    small = [await tier.visit() for _ in range(2)]
    wide = await tier.visit(Want("m", choices=8))
    for one in small:
        await one.end()
    await settled()

    assert wide.choice is not None
    assert tier.roster.in_flight["r0"] == 8
    await wide.end()
    assert tier.roster.in_flight["r0"] == 0


async def test_a_wide_request_is_overtaken_only_so_often():
    tier = Tier(2, is_on=False)
    running = [await tier.visit() for _ in range(2)]
    wide = await tier.visit(Want("m", choices=2))
    overtook = 0
    while wide.choice is None:
        running.append(await tier.visit())
        await running.pop(0).end()
        await settled()
        overtook += 1
        assert overtook < 60
    assert overtook > 10  # it did not hold up others at once
    for one in running:
        await one.leave()


async def test_a_client_that_leaves_gives_its_place_in_line_back():
    tier = Tier(1, max_waiting=1)
    await tier.visit()
    for _ in range(3):
        one = await tier.visit()
        assert tier.waiting == 1
        await one.leave()
        assert tier.waiting == 0


async def test_room_given_to_a_client_that_just_left_goes_to_the_next():
    tier = Tier(1)
    holder = await tier.visit()
    gone = await tier.visit()
    heir = await tier.visit()
    gone.task.cancel()  # has not run yet when the room comes
    await holder.end()
    await settled()
    assert heir.choice is not None
    assert tier.roster.in_flight["r0"] == 1


async def test_a_client_that_leaves_as_it_gets_its_room_gives_it_back():
    tier = Tier(1)
    await tier.visit()
    gone = await tier.visit()
    heir = await tier.visit()
    tier.roster.replicas.append(FakeReplica(record_of(9, 1)))
    tier.roster.tell_room()
    assert tier.roster.in_flight["r9"] == 1
    gone.task.cancel()  # the room is its own, but it has not run since
    await settled()

    assert gone.choice is None
    assert heir.choice.record.id == "r9"
    assert tier.roster.in_flight["r9"] == 1


async def test_closing_wakes_all_who_wait():
    tier = Tier(1)
    holder = await tier.visit()
    waiting = [await tier.visit() for _ in range(3)]
    tier.roster.close()
    for one in waiting:
        with pytest.raises(NoReplicaError, match="shutting down"):
            await one.result()
    with pytest.raises(NoReplicaError, match="shutting down"):
        await (await tier.visit()).result()
    await holder.end()


async def test_who_waits_is_looked_after_without_being_told():
    tier = Tier(1)
    await tier.visit()
    late = await tier.visit(priority=Priority.INTERACTIVE)
    tier.clock.advance(5.0)
    with pytest.raises(OverloadedError):
        await late.result()


async def test_the_gauges_tell_how_the_line_stands():
    tier = Tier(1)
    tier.line.introduce(["m"])
    assert tier.value("warmfront_gateway_requests_held", priority="batch") == 0
    assert np.isnan(tier.value("warmfront_gateway_throughput_tokens_per_second"))

    tier.line.learn_pace("m", PACE)
    assert tier.value("warmfront_gateway_predicted_wait_seconds", priority="batch") == 0
    await tier.visit()
    await tier.visit(priority=Priority.BATCH)
    assert tier.value("warmfront_gateway_requests_held", priority="batch") == 1
    assert tier.value("warmfront_gateway_backlog_tokens") == 120
    assert tier.value("warmfront_gateway_throughput_tokens_per_second") == 100
    waits = tier.line.standing("m").predicted_waits
    assert waits[Priority.BATCH] > waits[Priority.INTERACTIVE] == 0


async def test_sizes_and_throughput_are_learnt_from_answers():
    tier = Tier(1)
    asked = Ask(prompt_bytes=400, max_tokens=100)
    assert tier.line.estimate("m", asked) == Size(100, 100)

    usage = Usage(input_tokens=100, output_tokens=20)
    holder = await tier.visit(priority=Priority.BATCH)
    for _ in range(12):
        following = await tier.visit(priority=Priority.BATCH)
        tier.clock.advance(1.0)
        await holder.end(usage)
        tier.line.learn("m", asked, usage)
        holder = following
    await settled()

    assert tier.line.standing("m").throughput == pytest.approx(200.0)
    assert tier.line.estimate("m", asked).output_tokens < 75


async def test_nothing_is_ever_lost():
    """Seeded rounds of arrivals, ends, departures, failures and outages leave nothing behind."""
    rng = np.random.default_rng(7)
    for _ in range(15):
        tier = Tier(2, 3, max_waiting=6, hold_seconds=3.0)
        tier.roster.replicas[1].takes_images = False
        visits = []
        for _ in range(150):
            await _disturb(tier, visits, rng)
            busy = sum(
                one.exchange.timeline.routed is not None and not one.task.done() for one in visits
            )
            assert busy <= sum(tier.roster.in_flight.values())
        tier.roster.serve(is_serving=True)
        for one in visits:
            one._done.set()
        await settled()
        for _ in range(200):
            await tier.pass_time(0.1)
        for one in visits:
            with suppress(NoReplicaError, OverloadedError, asyncio.CancelledError):
                await one.result()
        assert +tier.roster.in_flight == {}
        assert (tier.waiting, tier.line._waits) == (0, {})
        assert tier.line._backlog("m").supply.in_flight == 0
        assert tier.line._timer is None or not tier.line._timer.cancelled()
        tier.line.close()


async def _disturb(tier, visits, rng):
    match rng.integers(8):
        case 0 | 1 | 2:
            want = Want(
                "m", int(rng.integers(1, 500)), int(rng.integers(1, 50)),
                choices=int(rng.choice([1, 1, 1, 2, 7])), has_images=bool(rng.random() < 0.2),
            )  # fmt: skip
            exchange = Exchange(
                priority=list(Priority)[rng.integers(3)], is_retried=bool(rng.random() < 0.1)
            )
            visits.append(Visit(tier.line, want, exchange))
        case 3 | 4 if visits:
            one = visits[rng.integers(len(visits))]
            one.exchange.timeline.usage = Usage(100, 10)
            one._done.set()
        case 5 if visits:
            visits[rng.integers(len(visits))].task.cancel()
        case 6:
            tier.roster.serve(is_serving=bool(rng.random() < 0.7))
        case _:
            tier.clock.advance(float(rng.exponential(0.3)))
            tier.line.sweep()
    if rng.random() < 0.6:  # else several things happen in one turn of the loop
        await settled()


async def test_all_clients_may_leave_at_once():
    tier = Tier(8, max_waiting=2000)
    visits = [Visit(tier.line, WANT) for _ in range(2000)]
    await settled()
    assert tier.waiting == 1992

    for one in visits:
        one.task.cancel()
    await settled()
    assert +tier.roster.in_flight == {}
    assert (tier.waiting, tier.line._waits) == (0, {})
