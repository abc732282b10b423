from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.rollout.evidence import Evidence
from inference.gateway.rollout.plan import Strategy
from inference.gateway.rollout.rollout import (
    Order,
    OrderRefusedError,
    Phase,
    Readiness,
    State,
    follow,
    step,
)
from inference.gateway.rollout.verdict import Reason
from inference.gateway.routing.choice import Capacity
from tests.inference.gateway.rollout.conftest import (
    DROPPED,
    PASSED,
    PROBES,
    evidence_of,
    plan_of,
    seen,
)

ONE, NONE = Capacity(1, 8, 8), Capacity()
READY = Readiness(ONE, ONE)
ABSENT = Readiness(ONE, NONE)
GOOD = evidence_of(seen(500), seen(100))
BAD = evidence_of(seen(500), seen(10, 10))
NEW = State(since=0.0)


def shifting(number=0, **fields):
    return State(since=0.0, phase=Phase.SHIFTING, step=number, **fields)


def switched(**fields):
    return State(since=0.0, phase=Phase.SWITCHED, **fields)


def draining(**fields):
    return State(since=0.0, phase=Phase.DRAINING, **fields)


def test_a_good_canary_goes_up_the_steps_and_is_promoted():
    plan, state, told = plan_of(), NEW, []
    for now in range(0, 400, 10):
        state, moves = step(plan, state, GOOD, READY, float(now))
        told += [(move.at, move.phase, move.weight) for move in moves]

    assert told == [
        (0.0, Phase.SHIFTING, 0.1),
        (60.0, Phase.SHIFTING, 0.5),
        (120.0, Phase.SHIFTING, 1.0),
        (180.0, Phase.PROMOTED, 1.0),
    ]


def test_a_bad_canary_goes_back_at_once():
    state, (move,) = step(plan_of(), shifting(1), BAD, READY, 5.0)

    assert (move.phase, move.weight, move.reason) == (
        Phase.ROLLED_BACK, 0.0, Reason.FAILS_OUTRIGHT,
    )  # fmt: skip
    assert move.numbers.canary_failed_share == 1.0
    assert state.weight(plan_of()) == 0.0


@pytest.mark.parametrize(
    ("fields", "evidence", "readiness", "reason"),
    [
        pytest.param({}, GOOD, ABSENT, Reason.CANARY_MISSING, id="no canary"),
        pytest.param({"probes": PROBES}, GOOD, READY, Reason.NO_PROBES, id="no probes"),
        pytest.param(
            {"probes": PROBES}, evidence_of(rounds=(DROPPED,)), READY, Reason.UNCLEAR_QUALITY,
            id="a probe failed",
        ),
        pytest.param(
            {"steps": (1.0,)}, evidence_of(seen(10)), READY, Reason.NO_BASELINE, id="no baseline"
        ),
        pytest.param(
            {"strategy": Strategy.BLUE_GREEN}, GOOD, Readiness(Capacity(2, 16, 16), ONE),
            Reason.NO_ROOM, id="green is too small",
        ),
    ],
)  # fmt: skip
def test_no_client_meets_a_canary_that_is_not_ready(fields, evidence, readiness, reason):
    state, moves = step(plan_of(**fields), NEW, evidence, readiness, 0.0)

    assert (state.phase, state.reason, moves) == (Phase.PREPARING, reason, ())


def test_the_first_small_step_needs_no_traffic_before_it():
    state, _ = step(plan_of(), NEW, Evidence(), READY, 0.0)

    assert state.phase is Phase.SHIFTING


def test_a_canary_that_fails_its_probes_never_meets_a_client():
    evidence = evidence_of(rounds=(DROPPED,) * 3)
    state, _ = step(plan_of(probes=PROBES), NEW, evidence, READY, 30.0)

    assert (state.phase, state.reason) == (Phase.ROLLED_BACK, Reason.QUALITY)


@pytest.mark.parametrize(
    ("state", "seconds"),
    [pytest.param(NEW, 900.0, id="preparing"), pytest.param(shifting(1), 120.0, id="shifting")],
)
def test_a_canary_that_is_gone_is_awaited_for_so_long(state, seconds):
    state, _ = step(plan_of(), state, GOOD, ABSENT, 50.0)
    held, _ = step(plan_of(), state, GOOD, ABSENT, 49.9 + seconds)
    back, _ = step(plan_of(), state, GOOD, ABSENT, 50.0 + seconds)

    assert (held.phase, held.reason) == (state.phase, Reason.CANARY_MISSING)
    assert (back.phase, back.reason) == (Phase.ROLLED_BACK, Reason.CANARY_MISSING)


def test_a_canary_that_comes_back_is_awaited_anew():
    state, _ = step(plan_of(), shifting(), Evidence(), ABSENT, 50.0)
    state, _ = step(plan_of(), state, Evidence(), READY, 100.0)
    state, _ = step(plan_of(), state, Evidence(), ABSENT, 150.0)
    state, _ = step(plan_of(), state, Evidence(), ABSENT, 269.0)

    assert state.phase is Phase.SHIFTING


BLUE_GREEN = plan_of(strategy=Strategy.BLUE_GREEN)


def test_green_takes_over_all_at_once_and_old_sessions_end_on_blue():
    busy = replace(READY, stable=Capacity(1, 8, 7), old_sessions=0)
    state, _ = step(BLUE_GREEN, NEW, GOOD, READY, 0.0)
    assert (state.phase, state.weight(BLUE_GREEN)) == (Phase.SWITCHED, 1.0)

    state, _ = step(BLUE_GREEN, state, GOOD, READY, 60.0)
    assert (state.phase, state.weight(BLUE_GREEN)) == (Phase.DRAINING, 1.0)

    state, _ = step(BLUE_GREEN, state, GOOD, replace(READY, old_sessions=3), 61.0)
    assert (state.phase, state.reason) == (Phase.DRAINING, Reason.OLD_SESSIONS)

    state, _ = step(BLUE_GREEN, state, GOOD, busy, 62.0)
    assert state.phase is Phase.DRAINING

    state, _ = step(BLUE_GREEN, state, GOOD, READY, 63.0)
    assert (state.phase, state.reason) == (Phase.PROMOTED, Reason.DRAINED)


@pytest.mark.parametrize(
    ("now", "phase"), [(899.9, Phase.DRAINING), (900.0, Phase.PROMOTED)], ids=["held", "over"]
)
def test_old_sessions_have_so_long(now, phase):
    state, _ = step(BLUE_GREEN, draining(), GOOD, replace(READY, old_sessions=3), now)

    assert state.phase is phase


@pytest.mark.parametrize("state", [switched(), draining()], ids=["switched", "draining"])
def test_blue_takes_over_again_where_green_does_harm(state):
    state, (move,) = step(BLUE_GREEN, state, BAD, READY, 1.0)

    assert (state.phase, move.weight) == (Phase.ROLLED_BACK, 0.0)


@pytest.mark.parametrize(
    ("plan", "state", "evidence"),
    [
        pytest.param(plan_of(), NEW, GOOD, id="preparing"),
        pytest.param(plan_of(), shifting(1), GOOD, id="shifting"),
        pytest.param(BLUE_GREEN, switched(), GOOD, id="switched"),
        pytest.param(BLUE_GREEN, draining(), GOOD, id="draining"),
    ],
)
def test_a_paused_rollout_stays_until_it_is_resumed(plan, state, evidence):
    paused, _ = follow(plan, state, Order.PAUSE, 0.0)
    held, moves = step(plan, paused, evidence, READY, 1e4)
    resumed, _ = follow(plan, held, Order.RESUME, 1e4)
    gone_on, _ = step(plan, resumed, evidence, READY, 1e4)

    assert (held.phase, held.reason, moves) == (state.phase, Reason.PAUSED, ())
    assert (gone_on.phase, gone_on.step) != (state.phase, state.step)


def test_clear_harm_rolls_back_even_what_is_paused():
    state, _ = step(plan_of(), shifting(is_paused=True), BAD, READY, 1.0)

    assert state.phase is Phase.ROLLED_BACK


@pytest.mark.parametrize(
    ("plan", "state", "order", "phase"),
    [
        pytest.param(plan_of(), NEW, Order.PROMOTE, Phase.PROMOTED, id="unseen"),
        pytest.param(plan_of(), shifting(1), Order.PROMOTE, Phase.PROMOTED, id="half way"),
        pytest.param(BLUE_GREEN, NEW, Order.PROMOTE, Phase.DRAINING, id="to green"),
        pytest.param(BLUE_GREEN, draining(), Order.PROMOTE, Phase.PROMOTED, id="cut off"),
        pytest.param(plan_of(), NEW, Order.ROLL_BACK, Phase.ROLLED_BACK, id="called off"),
        pytest.param(
            plan_of(), State(0.0, Phase.PROMOTED), Order.ROLL_BACK, Phase.ROLLED_BACK, id="regret"
        ),
    ],
)
def test_an_operator_has_the_last_word(plan, state, order, phase):
    state, (move,) = follow(plan, state, order, 7.0)

    assert (state.phase, state.reason, move.at) == (phase, Reason.ORDERED, 7.0)


@pytest.mark.parametrize(
    ("phase", "order"),
    [
        (Phase.PROMOTED, Order.PROMOTE),
        (Phase.PROMOTED, Order.PAUSE),
        (Phase.ROLLED_BACK, Order.PROMOTE),
        (Phase.ROLLED_BACK, Order.ROLL_BACK),
        (Phase.ROLLED_BACK, Order.RESUME),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(phase, order):
    with pytest.raises(OrderRefusedError, match="the rollout is"):
        follow(plan_of(), State(0.0, phase), order, 1.0)


SIGHTS = st.tuples(
    st.sampled_from([
        Evidence(), GOOD, BAD, evidence_of(seen(500), seen(60, 3)),
        evidence_of(seen(500), seen(100), (DROPPED,) * 3),
        evidence_of(seen(500), seen(100), (PASSED,)),
    ]),
    st.sampled_from([READY, ABSENT, replace(READY, old_sessions=2), Readiness(NONE, ONE)]),
    st.floats(0.0, 400.0),
    st.sampled_from([None, None, None, *Order]),
)  # fmt: skip
PLANS = st.builds(
    plan_of,
    strategy=st.sampled_from(Strategy),
    steps=st.sampled_from([(1.0,), (0.1, 0.5, 1.0), (0.3,)]),
    probes=st.sampled_from([(), PROBES]),
)


def play(plan, sights):
    """Take a rollout through all that is seen; yield each state with what led to it."""
    state, now = NEW, 0.0
    for evidence, readiness, seconds, order in sights:
        now += seconds
        before = state
        state, moves = step(plan, state, evidence, readiness, now)
        yield before, state, moves, evidence
        if order is not None:
            before = state
            try:
                state, moves = follow(plan, state, order, now)
            except OrderRefusedError:
                continue
            yield before, state, moves, None


@given(PLANS, st.lists(SIGHTS, max_size=25))
def test_the_weight_moves_only_along_the_steps_and_ends_at_none_or_all(plan, sights):
    for before, state, moves, _ in play(plan, sights):
        weight, allowed = state.weight(plan), (0.0, *plan.weights, 1.0)
        assert weight in allowed
        assert len(moves) <= 1
        assert [move.weight for move in moves] in ([], [weight])
        if not moves:
            assert weight == before.weight(plan)
        if state.phase.is_final:
            assert weight == float(state.phase is Phase.PROMOTED)


@given(PLANS, st.lists(SIGHTS, max_size=25))
def test_by_itself_a_rollout_goes_one_step_up_or_all_the_way_back(plan, sights):
    for before, state, moves, evidence in play(plan, sights):
        if evidence is None or not moves or state.phase is Phase.ROLLED_BACK:
            continue
        assert not before.phase.is_final
        assert state.step - before.step in (0, 1)
        assert state.weight(plan) >= before.weight(plan)


@given(PLANS, st.lists(SIGHTS, max_size=25), st.lists(st.floats(0, 1e6), max_size=10))
def test_nothing_advances_on_silence(plan, sights, waits):
    state = next((after for _, after, _, _ in reversed([*play(plan, sights)])), NEW)
    if state.phase not in (Phase.SHIFTING, Phase.SWITCHED):
        return
    now = state.since
    for seconds in waits:
        now += seconds
        after, moves = step(plan, state, Evidence(), READY, now)
        assert moves == ()
        assert (after.phase, after.step) == (state.phase, state.step)
