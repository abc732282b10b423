from autoscaler.lead_time import LeadTimes
from autoscaler.plan import Plan, Reason
from autoscaler.targets.fake import FakeTarget
from telemetry.clock import ManualClock
from telemetry.lifecycle import ReplicaState


def plan(serving, standby=0):
    return Plan(0.0, "m", serving, standby, Reason.DEMAND_NOW, {})


async def counts(target):
    return {state.value: n for state, n in (await target.observe()).counts.items() if n}


async def test_replicas_start_wake_rest_and_drain_in_their_own_time():
    clock, leads = ManualClock(), LeadTimes()
    target = FakeTarget(
        clock, start_seconds=10.0, wake_seconds=2.0, drain_seconds=5.0, lead_times=leads
    )

    await target.apply(plan(1, 1))
    assert await counts(target) == {"starting": 2}
    clock.advance(10)
    assert await counts(target) == {"serving": 1, "standby": 1}

    await target.apply(plan(2))
    await target.apply(plan(2))
    clock.advance(1)
    assert await counts(target) == {"serving": 1, "standby": 1}
    clock.advance(1)
    assert await counts(target) == {"serving": 2}

    await target.apply(plan(1))
    assert await counts(target) == {"serving": 1, "draining": 1}
    clock.advance(5)
    assert await counts(target) == {"serving": 1}
    assert (leads.start, leads.wake) == (10.0, 2.0)


async def test_a_crashed_replica_is_replaced_by_the_next_plan():
    clock = ManualClock()
    target = FakeTarget(clock, start_seconds=1.0)
    await target.apply(plan(1))
    clock.advance(1)
    (replica,) = (await target.observe()).replicas

    target.crash(replica.id)
    await target.apply(plan(1))

    (new,) = (await target.observe()).replicas
    assert new.state is ReplicaState.STARTING
    assert new.id != replica.id
