import pytest

from inference.gateway.rollout.plan import Strategy
from inference.gateway.rollout.rollout import Order, Phase, Readiness
from inference.gateway.rollout.rollouts import NoRolloutError, RolloutExistsError, Rollouts
from inference.gateway.rollout.settings import RolloutSettings
from inference.gateway.routing.choice import Capacity
from tests.inference.gateway.rollout.conftest import plan_of

READY = Readiness(Capacity(1, 8, 8), Capacity(1, 8, 8))


def sent(rollouts, version, count, *, failed=False, at, ttft=0.1):
    for _ in range(count):
        rollouts.observed("tiny", version, ttft=None if failed else ttft, failed=failed, at=at)


def begun(rollouts, clock, **fields):
    """Start a rollout that is at its first step."""
    running = rollouts.start(plan_of(**fields))
    rollouts.look("tiny", READY)
    clock.advance(1.0)
    return running


def step_up(rollouts, clock):
    sent(rollouts, "v1", 60, at=clock.now())
    sent(rollouts, "v2", 60, at=clock.now())
    clock.advance(60.0)
    moves = rollouts.look("tiny", READY)
    assert len(moves) == 1
    clock.advance(1.0)


def share_on_canary(rollouts, sessions):
    chosen = [rollouts.version_for("tiny", one, "-") for one in sessions]
    return chosen.count("v2") / len(chosen)


SESSIONS = [f"s{number}" for number in range(600)]


def test_without_a_rollout_any_version_will_do(rollouts):
    assert rollouts.version_for("tiny", "s", "req-1") is None
    assert rollouts.version_for("tiny", None, "req-1") is None


def test_another_model_is_not_touched(rollouts, clock):
    begun(rollouts, clock)

    assert rollouts.version_for("other", "s", "req-1") is None


def test_while_preparing_all_goes_to_stable(rollouts):
    rollouts.start(plan_of())

    assert share_on_canary(rollouts, SESSIONS) == 0.0


def test_requests_without_session_are_split_by_weight(rollouts, clock):
    begun(rollouts, clock, steps=(0.3, 1.0))
    chosen = [rollouts.version_for("tiny", None, f"req-{number}") for number in range(4000)]

    assert chosen.count("v2") / 4000 == pytest.approx(0.3, abs=0.02)
    assert chosen.count("v1") + chosen.count("v2") == 4000


def test_sessions_that_began_before_the_rollout_stay_on_stable(rollouts, clock):
    for session in SESSIONS:
        rollouts.version_for("tiny", session, "-")
    begun(rollouts, clock, steps=(1.0,), strategy=Strategy.CANARY)
    rollouts.follow("tiny", Order.PROMOTE)

    assert share_on_canary(rollouts, SESSIONS) == 0.0
    assert share_on_canary(rollouts, ["new"]) == 1.0


def test_raising_the_weight_moves_only_new_sessions(rollouts, clock):
    begun(rollouts, clock)
    first = [rollouts.version_for("tiny", one, "-") for one in SESSIONS]
    step_up(rollouts, clock)
    later = [rollouts.version_for("tiny", one, "-") for one in SESSIONS]
    fresh = [f"t{number}" for number in range(600)]

    assert first == later
    assert first.count("v2") / 600 == pytest.approx(0.1, abs=0.04)
    assert share_on_canary(rollouts, fresh) == pytest.approx(0.5, abs=0.06)


def test_a_session_that_was_silent_for_too_long_begins_anew(metrics, clock):
    rollouts = Rollouts(metrics, clock=clock, settings=RolloutSettings(session_ttl_seconds=600))
    begun(rollouts, clock)
    rollouts.version_for("tiny", "s", "-")
    rollouts.follow("tiny", Order.PROMOTE)
    assert rollouts.version_for("tiny", "s", "-") == "v1"

    clock.advance(600.0)

    assert rollouts.version_for("tiny", "s", "-") == "v2"


def test_after_a_roll_back_every_session_is_on_stable_and_stays_there(rollouts, clock):
    begun(rollouts, clock, steps=(0.9,))
    assert share_on_canary(rollouts, SESSIONS) > 0.8
    rollouts.follow("tiny", Order.ROLL_BACK)
    assert share_on_canary(rollouts, SESSIONS) == 0.0
    rollouts.finish("tiny")
    begun(rollouts, clock, steps=(0.9,))

    assert share_on_canary(rollouts, SESSIONS) == 0.0


def test_blue_green_counts_the_sessions_that_are_left_and_then_moves_all(rollouts, clock):
    for session in SESSIONS:
        rollouts.version_for("tiny", session, "-")
    running = rollouts.start(plan_of(strategy=Strategy.BLUE_GREEN))
    rollouts.follow("tiny", Order.PROMOTE)
    assert running.state.phase is Phase.DRAINING
    assert rollouts.old_sessions(running) == 600
    assert share_on_canary(rollouts, SESSIONS) == 0.0

    rollouts.follow("tiny", Order.PROMOTE)

    assert share_on_canary(rollouts, SESSIONS) == 1.0
    assert rollouts.old_sessions(running) == 0


def test_each_step_is_judged_by_its_own_requests(rollouts, clock):
    running = begun(rollouts, clock)
    sent(rollouts, "v2", 60, at=clock.now())
    sent(rollouts, "v1", 60, at=clock.now())
    before_the_step = clock.now()
    clock.advance(60.0)
    rollouts.look("tiny", READY)
    assert running.evidence.canary.requests == 0
    assert running.evidence.stable.requests == 60  # of the step before: what to compare with

    sent(rollouts, "v2", 5, failed=True, at=before_the_step)
    sent(rollouts, "v2", 3, at=clock.now())

    assert running.evidence.canary.requests == 3
    assert running.evidence.canary.failures == 0


def test_the_last_step_is_held_against_what_stable_did_before_it(rollouts, clock):
    running = begun(rollouts, clock)
    step_up(rollouts, clock)
    step_up(rollouts, clock)
    assert running.weight == 1.0
    sent(rollouts, "v2", 60, at=clock.now())
    clock.advance(60.0)
    rollouts.look("tiny", READY)

    assert running.state.phase is Phase.PROMOTED


def test_draining_goes_on_with_the_evidence_of_the_switch(rollouts, clock):
    running = rollouts.start(plan_of(strategy=Strategy.BLUE_GREEN))
    sent(rollouts, "v1", 60, at=clock.now())
    rollouts.look("tiny", READY)
    sent(rollouts, "v2", 60, at=clock.now())
    clock.advance(60.0)
    rollouts.look("tiny", READY)

    assert running.state.phase is Phase.DRAINING
    assert running.evidence.canary.requests == 60
    assert running.evidence.stable.requests == 60


def test_other_versions_and_models_are_no_evidence(rollouts, clock):
    running = begun(rollouts, clock)
    rollouts.observed("tiny", "v9", ttft=None, failed=True, at=clock.now())
    rollouts.observed("other", "v2", ttft=None, failed=True, at=clock.now())

    assert running.evidence.canary.requests == 0


def test_one_rollout_per_model(rollouts):
    rollouts.start(plan_of())

    with pytest.raises(RolloutExistsError, match=r"rollout of 'v2' already \(preparing\); finish"):
        rollouts.start(plan_of(canary="v3"))


def test_what_is_finished_is_forgotten(rollouts, clock):
    begun(rollouts, clock)
    rollouts.finish("tiny")

    assert rollouts.version_for("tiny", None, "req-1") is None
    assert list(rollouts) == []
    with pytest.raises(NoRolloutError, match="'tiny' has no rollout"):
        rollouts.of("tiny")


def test_metrics_follow_the_rollout(rollouts, clock, value):
    begun(rollouts, clock)
    sent(rollouts, "v2", 2, at=clock.now())
    sent(rollouts, "v2", 1, failed=True, at=clock.now())
    rollouts.fell_back("tiny", "v2")
    rollouts.show()
    canary = {"model": "tiny", "version": "v2"}

    assert value("warmfront_rollout_weight_ratio", **canary) == pytest.approx(0.1)
    assert value("warmfront_rollout_weight_ratio", model="tiny", version="v1") == 0.9
    assert value("warmfront_rollout_requests_total", outcome="ok", **canary) == 2
    assert value("warmfront_rollout_requests_total", outcome="failed", **canary) == 1
    assert value("warmfront_rollout_time_to_first_token_seconds_count", **canary) == 2
    assert value("warmfront_rollout_fallbacks_total", **canary) == 1
    move = {"model": "tiny", "phase": "shifting", "reason": "healthy"}
    assert value("warmfront_rollout_moves_total", **move) == 1
    assert value("warmfront_rollout_quality_ratio", **canary) is None

    rollouts.finish("tiny")

    assert value("warmfront_rollout_weight_ratio", **canary) is None
