import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.capacity import Capacity
from autoscaler.lead_time import Lead
from autoscaler.observation import Fleet, Observation, Replica
from autoscaler.plan import Mode, PlanState, Policy, Reason
from autoscaler.planner import plan
from forecaster.forecast import Doubt, Forecast
from telemetry.lifecycle import ReplicaState

NOW = 1_000.0
# 10 / 10 = 1 request ends per iteration of 0.1 s: 10 requests/s, of which 0.5 is planned with.
CAPACITY = Capacity(alpha=0.1, beta=0.0, delta=0.0, slots=10)
POLICY = Policy(minimum=0, maximum=20, utilisation=0.5, quantile=0.9, hold_seconds=400.0)
LEAD = Lead(start=30.0, wake=1.0)


def fleet(serving=0, standby=0, starting=0, waiting=0):
    states = (
        [ReplicaState.SERVING] * serving
        + [ReplicaState.STANDBY] * standby
        + [ReplicaState.STARTING] * starting
    )
    replicas = [Replica(f"r{n}", state, 0.0, n, None) for n, state in enumerate(states)]
    if waiting:
        replicas.append(Replica("w", ReplicaState.DRAINING, 0.0, 99, None, waiting=waiting))
    return Fleet(tuple(replicas))


def seen(demand, *, held=0, found=None, tokens=10.0, at=NOW):
    return Observation(at, "m", found or fleet(), demand, held, tokens, tokens)


def forecast(*levels, origin=NOW, step=10.0, doubts=()):
    values = np.array([[level / 2, level] for level in levels])
    return Forecast(origin, step, (0.5, 0.9), values, model="fixed", residuals=100, doubts=doubts)


def decide(observation, ahead=None, capacity=CAPACITY, *, policy=POLICY, state=None, now=NOW):
    return plan(
        observation, ahead, capacity,
        policy=policy, lead=LEAD, state=state or PlanState(), now=now,
    )  # fmt: skip


def tiers(decided):
    return decided.serving, decided.standby, decided.reason


@pytest.mark.parametrize(
    ("observation", "ahead", "expected"),
    [
        pytest.param(
            seen(1.0), forecast(12, 12, 12, 12), (3, 0, Reason.DEMAND_FORECAST), id="rounds up"
        ),
        pytest.param(
            seen(1.0), forecast(10, 10, 10, 10), (2, 0, Reason.DEMAND_FORECAST), id="exact fit"
        ),
        pytest.param(
            seen(1.0),
            forecast(5, 5, 5, 19),
            (1, 3, Reason.DEMAND_FORECAST),
            id="starts now what serves only when started",
        ),
        pytest.param(
            seen(1.0), forecast(5, 5, 5, 5, 99), (1, 0, Reason.DEMAND_FORECAST), id="no further"
        ),
        pytest.param(
            seen(12.0),
            forecast(5, 5, 5, 5),
            (3, 0, Reason.DEMAND_NOW),
            id="demand is already more",
        ),
        pytest.param(
            seen(1.0, held=45), forecast(5, 5, 5, 5), (2, 0, Reason.DEMAND_NOW), id="held requests"
        ),
        pytest.param(
            seen(1.0, found=fleet(waiting=45)),
            forecast(5, 5, 5, 5),
            (2, 0, Reason.DEMAND_NOW),
            id="waiting requests",
        ),
        pytest.param(seen(12.0), None, (3, 0, Reason.NO_FORECAST), id="no forecast"),
        pytest.param(
            seen(12.0),
            forecast(99, origin=NOW - 10),
            (3, 0, Reason.NO_FORECAST),
            id="the forecast has run out",
        ),
        pytest.param(
            seen(12.0), forecast(math.nan), (3, 0, Reason.NO_FORECAST), id="the forecast is NaN"
        ),
        pytest.param(
            seen(1.0), forecast(1e9), (20, 0, Reason.CEILING), id="more than there may be"
        ),
        pytest.param(seen(0.0), forecast(0.0), (0, 0, Reason.DEMAND_FORECAST), id="nobody asks"),
    ],
)
def test_what_is_wanted_and_why(observation, ahead, expected):
    assert tiers(decide(observation, ahead)[0]) == expected


def test_the_floor_serves_whatever_is_asked():
    policy = Policy(minimum=2, maximum=4)

    assert tiers(decide(seen(0.0), forecast(0.0), policy=policy)[0]) == (2, 0, Reason.FLOOR)


def test_spares_stand_by_beyond_what_is_wanted_ready():
    policy = Policy(minimum=1, maximum=20, utilisation=0.5, standby=2, quantile=0.9)

    assert tiers(decide(seen(1.0), forecast(5, 5, 5, 5), policy=policy)[0])[:2] == (1, 2)
    assert tiers(decide(seen(0.0), forecast(0.0), policy=policy)[0])[:2] == (1, 2)


def test_under_the_ceiling_serving_goes_before_standing_by():
    policy = Policy(minimum=0, maximum=3, utilisation=0.5, quantile=0.9, standby=2)
    decided, _ = decide(seen(1.0), forecast(9, 9, 9, 9), policy=policy)

    assert tiers(decided) == (2, 1, Reason.CEILING)


def test_reactive_ignores_the_forecast_and_keeps_only_the_spares():
    policy = Policy(minimum=0, maximum=20, utilisation=0.5, mode=Mode.REACTIVE, standby=1)

    decided, _ = decide(seen(6.0), forecast(99, 99, 99, 99), policy=policy)

    assert tiers(decided) == (2, 1, Reason.DEMAND_NOW)
    assert "forecast_soon" not in decided.numbers


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(399, (4, 0, Reason.HELD), id="the quiet second"),
        pytest.param(400, (1, 0, Reason.DEMAND_FORECAST), id="the loud one"),
    ],
)
def test_a_want_counts_until_its_hold_has_passed(seconds, expected):
    _, state = decide(seen(20.0), forecast(20.0, 20, 20, 20))
    later = NOW + seconds
    quiet = forecast(4.0, 4, 4, 4, origin=later)

    decided, _ = decide(seen(1.0, at=later), quiet, state=state, now=later)

    assert tiers(decided) == expected


def test_serving_and_ready_are_held_apart():
    _, state = decide(seen(1.0), forecast(5, 5, 5, 20))
    later = NOW + 1

    decided, _ = decide(
        seen(10.0, at=later), forecast(5, 5, 5, 5, origin=later), state=state, now=later
    )

    assert (decided.serving, decided.standby) == (2, 2)


def test_a_raise_is_never_held_back():
    _, state = decide(seen(1.0), forecast(5, 5, 5, 5))
    later = NOW + 1

    decided, _ = decide(seen(50.0, at=later), None, state=state, now=later)

    assert decided.serving == 10


@pytest.mark.parametrize(("seconds", "serving"), [(399, 3), (400, 0)])
def test_a_new_planner_holds_the_fleet_that_it_finds(seconds, serving):
    found = fleet(serving=3, standby=1)
    first, state = decide(seen(0.0, found=found), forecast(0.0))
    later = NOW + seconds
    then, _ = decide(
        seen(0.0, found=found, at=later), forecast(0.0, origin=later), state=state, now=later
    )

    assert (first.serving, first.standby) == (3, 1)
    assert then.serving == serving


@pytest.mark.parametrize("demand", [None, math.nan])
def test_unknown_demand_keeps_what_there_is(demand):
    decided, _ = decide(seen(demand, found=fleet(serving=3, standby=1)), forecast(0.0))

    assert tiers(decided) == (3, 1, Reason.NO_DATA)


def test_silence_outlasts_the_hold_and_the_death_of_a_replica():
    policy = Policy(minimum=0, maximum=20, utilisation=0.5, hold_seconds=0.0)
    _, state = decide(seen(20.0), None, policy=policy)
    for minute in range(1, 5):
        later = NOW + 60 * minute
        decided, state = decide(
            seen(None, found=fleet(serving=2), at=later), None,
            policy=policy, state=state, now=later,
        )  # fmt: skip

        assert tiers(decided) == (4, 0, Reason.NO_DATA)


def test_silence_does_not_hide_requests_that_wait():
    decided, _ = decide(seen(None, found=fleet(waiting=100)), None)

    assert tiers(decided) == (4, 0, Reason.NO_DATA)


def test_silence_does_not_add_spares_turn_by_turn():
    policy = Policy(minimum=1, maximum=20, standby=2)
    state, found = PlanState(), fleet()
    for second in range(5):
        later = NOW + second
        decided, state = decide(
            seen(None, found=found, at=later), None, policy=policy, state=state, now=later
        )
        found = fleet(serving=decided.serving, standby=decided.standby)

    assert (decided.serving, decided.standby) == (1, 2)


@pytest.mark.parametrize(
    ("capacity", "tokens"),
    [pytest.param(None, 10.0, id="no profile"), pytest.param(CAPACITY, None, id="no sizes")],
)
def test_unknown_capacity_starts_one_and_keeps_what_there_is(capacity, tokens):
    started, _ = decide(seen(50.0, tokens=tokens), None, capacity)
    kept, _ = decide(seen(50.0, tokens=tokens, found=fleet(serving=3)), None, capacity)

    assert tiers(started) == (1, 0, Reason.COLD)
    assert tiers(kept) == (3, 0, Reason.COLD)
    assert "capacity" not in started.numbers


def test_unknown_capacity_does_not_keep_what_nobody_asks_for():
    policy = Policy(minimum=0, maximum=4, hold_seconds=0.0)

    decided, _ = decide(seen(0.0, found=fleet(serving=3)), None, None, policy=policy)

    assert decided.serving == 0


@pytest.mark.parametrize("doubt", list(Doubt))
def test_nothing_goes_down_on_the_word_of_a_forecast_that_is_doubted(doubt):
    found = fleet(serving=5, standby=1)
    ahead = forecast(5, 5, 5, 5, doubts=(doubt,))
    decided, _ = decide(seen(1.0, found=found), ahead, state=PlanState())

    assert tiers(decided) == (5, 1, Reason.DOUBT)
    assert decided.numbers[f"doubt_{doubt}"] == 1.0


def test_without_doubts_the_same_forecast_takes_replicas_away():
    policy = replace(POLICY, hold_seconds=0.0)
    decided, _ = decide(seen(1.0, found=fleet(serving=5)), forecast(5, 5, 5, 5), policy=policy)

    assert tiers(decided) == (1, 0, Reason.DEMAND_FORECAST)


def test_a_doubted_forecast_may_still_raise():
    ahead = forecast(40, 40, 40, 40, doubts=(Doubt.GAPS,))
    decided, _ = decide(seen(1.0, found=fleet(serving=5)), ahead)

    assert tiers(decided) == (8, 0, Reason.DEMAND_FORECAST)


def test_a_doubt_outlasts_the_hold():
    policy, ahead = replace(POLICY, hold_seconds=0.0), forecast(5, 5, 5, 5, doubts=(Doubt.SHORT,))
    state = PlanState()
    for second in range(5):
        moment = NOW + second
        decided, state = decide(
            seen(1.0, found=fleet(serving=5), at=moment),
            ahead, policy=policy, state=state, now=moment,
        )  # fmt: skip

    assert tiers(decided) == (5, 0, Reason.DOUBT)


def test_a_reactive_policy_asks_no_forecast_and_has_no_doubts():
    policy = replace(POLICY, mode=Mode.REACTIVE, hold_seconds=0.0)
    ahead = forecast(5, 5, 5, 5, doubts=(Doubt.GAPS,))
    decided, _ = decide(seen(1.0, found=fleet(serving=5)), ahead, policy=policy)

    assert tiers(decided) == (1, 0, Reason.DEMAND_NOW)


def test_a_clock_set_back_does_not_hold_for_ever():
    _, state = decide(seen(20.0), None)
    before = NOW - 100_000

    decided, _ = decide(seen(1.0, at=before), None, state=state, now=before)

    assert decided.serving == 1


def test_the_plan_carries_the_numbers_that_led_to_it():
    decided, _ = decide(seen(1.0, held=5), forecast(5, 5, 5, 19))

    assert decided.numbers["demand"] == 1.0
    assert decided.numbers["backlog"] == 5.0
    assert decided.numbers["forecast_soon"] == 5.0
    assert decided.numbers["forecast_later"] == 19.0
    assert decided.numbers["capacity"] == pytest.approx(10.0)
    assert decided.numbers["per_replica"] == pytest.approx(5.0)
    assert decided.numbers["lead_start"] == 30.0


# --- Properties -----------------------------------------------------------------------------

anything = st.floats(allow_nan=True, allow_infinity=True)
fleets = st.builds(
    fleet,
    serving=st.integers(0, 8),
    standby=st.integers(0, 8),
    starting=st.integers(0, 8),
    waiting=st.integers(0, 10_000),
)
observations = st.builds(
    seen,
    st.none() | anything,
    held=st.none() | st.integers(0, 100_000),
    found=fleets,
    tokens=st.none() | anything,
)
forecasts = st.none() | st.builds(
    lambda levels, origin: forecast(*levels, origin=origin),
    st.lists(anything, min_size=1, max_size=6),
    st.floats(NOW - 100, NOW + 10),
)
capacities = st.none() | st.builds(
    Capacity,
    alpha=st.floats(1e-6, 100),
    beta=st.floats(0, 100),
    delta=st.floats(0, 100),
    slots=st.integers(1, 256),
)
policies = st.builds(
    lambda minimum, extra, **rest: Policy(minimum=minimum, maximum=minimum + extra, **rest),
    st.integers(0, 5),
    st.integers(1, 20),
    standby=st.integers(0, 4),
    quantile=st.floats(0.01, 0.99),
    utilisation=st.floats(0.01, 1.0),
    hold_seconds=st.floats(0, 1000),
    mode=st.sampled_from(Mode),
)
unhurried = settings(deadline=None, max_examples=60)  # a busy machine is no broken rule
turns = st.lists(st.tuples(observations, forecasts, capacities), min_size=1, max_size=4)


def run_of(story, policy):
    """Plan one observation after the other, 10 s apart."""
    state = PlanState()
    for turn, (observation, ahead, capacity) in enumerate(story):
        decided, state = decide(
            observation, ahead, capacity, policy=policy, state=state, now=NOW + 10 * turn
        )
        yield observation, decided


@unhurried
@given(turns, policies)
def test_plans_stay_within_their_bounds(story, policy):
    for _, decided in run_of(story, policy):
        assert policy.minimum <= decided.serving
        assert decided.standby >= 0
        assert decided.ready <= policy.maximum
        assert all(math.isfinite(number) for number in decided.numbers.values())


@unhurried
@given(turns, policies)
def test_plans_never_fall_below_the_guard_but_for_the_ceiling(story, policy):
    for _, decided in run_of(story, policy):
        assert decided.serving >= min(decided.numbers["guard"], policy.maximum)


@unhurried
@given(turns, policies)
def test_nothing_goes_down_while_demand_is_unknown(story, policy):
    last = None
    for observation, decided in run_of(story, policy):
        if observation.demand is None:
            found = observation.fleet
            assert decided.serving >= min(found.serving, policy.maximum)
            assert decided.ready >= min(found.up, policy.maximum)
            assert last is None or decided.serving >= last.serving
            assert last is None or decided.ready >= last.ready
        last = decided


@unhurried
@given(turns, policies)
def test_the_same_story_is_planned_the_same_way(story, policy):
    assert list(run_of(story, policy)) == list(run_of(story, policy))
