"""The line before the real roster: while nothing serves, requests are held."""

from dataclasses import replace

import pytest

from inference.gateway.admission.line import Line
from inference.gateway.admission.meters import AdmissionMeters
from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.errors import NoReplicaError, OverloadedError
from inference.gateway.routing.want import Want
from telemetry.clock import ManualClock
from telemetry.lifecycle import ReplicaState
from telemetry.publish import Metrics
from tests.inference.gateway.admission.fake_roster import Visit, settled
from tests.inference.gateway.routing.replicas import new_roster, record

WANT = Want("tiny", input_tokens=10, output_tokens=10)
STANDBY = record("a", state=ReplicaState.STANDBY)


class Tier:
    def __init__(self, *records, **settings):
        self.clock = ManualClock(100.0)
        self.roster = new_roster(self.clock, records, models=["tiny", "other"])
        self.line = Line(
            self.roster,
            AdmissionMeters(Metrics()),
            settings=AdmissionSettings(**settings),
            clock=self.clock,
            jitter=lambda: 0.0,
        )
        self.visits = []

    async def visit(self, want=WANT, exchange=None):
        self.visits.append(Visit(self.line, want, exchange))
        await settled()
        return self.visits[-1]

    async def read(self, *records):
        """Have the roster read the table."""
        self.roster.update(list(records))
        await settled()

    async def pass_time(self, seconds):
        self.clock.advance(seconds)
        self.line.sweep()
        await settled()


async def test_a_request_waits_for_a_replica_that_wakes():
    tier = Tier(STANDBY)
    one = await tier.visit()
    await tier.pass_time(5.0)
    assert one.choice is None

    await tier.read(replace(STANDBY, state=ReplicaState.SERVING))
    assert one.choice.record.id == "a"
    assert one.exchange.timeline.held_seconds == 5.0


async def test_a_request_waits_for_the_first_replica_to_start():
    tier = Tier()
    one = await tier.visit()
    await tier.read(record("a"))

    assert one.choice is not None


async def test_a_replica_of_another_model_does_not_end_the_wait():
    tier = Tier(hold_seconds=3.0)
    one = await tier.visit()
    await tier.read(record("a", model="other"))
    await tier.pass_time(3.0)

    with pytest.raises(NoReplicaError):
        await one.result()


async def test_places_are_bounded_for_each_model():
    tier = Tier(max_waiting=1)
    one = await tier.visit()
    other = await tier.visit(replace(WANT, model="other"))
    with pytest.raises(OverloadedError):
        await (await tier.visit()).result()

    assert (one.choice, other.choice) == (None, None)
    await tier.read(record("a"))
    assert (one.choice is None, other.choice is None) == (False, True)


async def test_a_request_outlives_the_death_of_the_only_replica():
    tier = Tier(record("a"))
    first = await tier.visit()
    for _ in range(20):
        tier.roster.refused(first.choice.record)
    await first.leave()
    first.exchange.is_retried = True
    again = await tier.visit(WANT.avoiding("a"), first.exchange)
    await tier.pass_time(1.0)
    assert again.choice is None

    await tier.read(record("b"))
    assert again.choice.record.id == "b"


async def test_a_replica_that_is_passed_over_for_a_moment_costs_a_short_wait():
    tier = Tier(record("a"), hold_seconds=30.0)
    for _ in range(20):
        tier.roster.refused(record("a"))
    one = await tier.visit()
    assert one.choice is None

    while one.choice is None:
        await tier.pass_time(0.5)
        assert tier.clock.now() < 125.0
    assert one.exchange.timeline.held_seconds > 0


async def test_nothing_is_left_of_a_request_that_ends():
    tier = Tier(record("a", slots=2))
    visits = [await tier.visit() for _ in range(10)]
    for one in visits:
        await one.end()
        await settled()

    capacity = tier.roster.capacity("tiny")
    assert (capacity.free, capacity.slots) == (2, 2)
    assert sum(tier.line.standing("tiny").waiting.values()) == 0
