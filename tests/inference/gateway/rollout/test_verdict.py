import numpy as np
import pytest

from inference.gateway.rollout.evidence import ProbeRound, Tally
from inference.gateway.rollout.verdict import Action, Reason, judge, measure
from tests.inference.gateway.rollout.conftest import (
    DROPPED,
    PASSED,
    PROBES,
    evidence_of,
    plan_of,
    seen,
)

UNANSWERED = ProbeRound((True, True), (None, None))


def judged(stable, canary, *, rounds=(), elapsed=1e6, missing=None, **fields):
    verdict = judge(
        plan_of(**fields), evidence_of(stable, canary, rounds), elapsed=elapsed, missing=missing
    )
    return verdict.action, verdict.reason


@pytest.mark.parametrize(
    ("stable", "canary", "expected"),
    [
        pytest.param(seen(500), seen(49), (Action.HOLD, Reason.TOO_FEW_REQUESTS), id="49 of 50"),
        pytest.param(seen(500), seen(50), (Action.ADVANCE, Reason.HEALTHY), id="50 of 50"),
        pytest.param(seen(), seen(), (Action.HOLD, Reason.TOO_FEW_REQUESTS), id="silence"),
        pytest.param(seen(49), seen(900), (Action.HOLD, Reason.NO_BASELINE), id="no baseline"),
        pytest.param(
            seen(500), seen(5, 5), (Action.ROLL_BACK, Reason.FAILS_OUTRIGHT), id="5 of 5"
        ),
        pytest.param(seen(500), seen(4, 4), (Action.ROLL_BACK, Reason.ERRORS), id="4 of 4"),
        pytest.param(seen(500), seen(1, 1), (Action.HOLD, Reason.TOO_FEW_REQUESTS), id="1 of 1"),
        pytest.param(
            seen(), seen(5, 5), (Action.ROLL_BACK, Reason.FAILS_OUTRIGHT), id="beside nothing"
        ),
        pytest.param(
            seen(20, 18), seen(5, 5), (Action.HOLD, Reason.TOO_FEW_REQUESTS), id="all is down"
        ),
        pytest.param(
            seen(2000, 4), seen(100, 12), (Action.ROLL_BACK, Reason.ERRORS), id="fails more"
        ),
        pytest.param(
            seen(2000, 4), seen(100, 2), (Action.HOLD, Reason.UNCLEAR_ERRORS), id="maybe noise"
        ),
        pytest.param(seen(2000, 4), seen(100, 1), (Action.ADVANCE, Reason.HEALTHY), id="as often"),
        pytest.param(
            seen(2000, 200), seen(200, 20), (Action.ADVANCE, Reason.HEALTHY), id="both fail alike"
        ),
        pytest.param(
            seen(500), seen(100, ttft=0.2), (Action.ROLL_BACK, Reason.TTFT), id="twice as slow"
        ),
        pytest.param(
            seen(500), seen(100, ttft=0.13), (Action.HOLD, Reason.UNCLEAR_TTFT), id="just beyond"
        ),
        pytest.param(
            seen(500), seen(100, ttft=0.12), (Action.ADVANCE, Reason.HEALTHY), id="just within"
        ),
        pytest.param(
            seen(60), seen(60, ttft=1.0), (Action.HOLD, Reason.UNCLEAR_TTFT), id="p95 of few"
        ),
        pytest.param(
            seen(500), seen(500, ttft=None), (Action.HOLD, Reason.TOO_FEW_REQUESTS), id="no TTFT"
        ),
    ],
)
def test_a_canary_is_held_against_stable(stable, canary, expected):
    assert judged(stable, canary) == expected


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        pytest.param((), (Action.HOLD, Reason.NO_PROBES), id="not asked"),
        pytest.param((UNANSWERED,) * 3, (Action.HOLD, Reason.NO_PROBES), id="not answered"),
        pytest.param((PASSED,), (Action.ADVANCE, Reason.HEALTHY), id="passed"),
        pytest.param((PASSED, DROPPED), (Action.HOLD, Reason.UNCLEAR_QUALITY), id="dropped"),
        pytest.param((DROPPED,) * 2, (Action.HOLD, Reason.UNCLEAR_QUALITY), id="twice"),
        pytest.param((DROPPED,) * 3, (Action.ROLL_BACK, Reason.QUALITY), id="thrice"),
        pytest.param(
            (DROPPED, UNANSWERED, DROPPED, DROPPED), (Action.ROLL_BACK, Reason.QUALITY),
            id="an answer that is missing neither passes nor fails",
        ),
        pytest.param((DROPPED, DROPPED, PASSED), (Action.ADVANCE, Reason.HEALTHY), id="mended"),
    ],
)  # fmt: skip
def test_probes_must_be_passed_as_by_stable(rounds, expected):
    assert judged(seen(500), seen(100), rounds=rounds, probes=PROBES) == expected


def test_quality_may_drop_by_as_much_as_the_plan_allows():
    told = judged(seen(500), seen(100), rounds=(DROPPED,) * 3, probes=PROBES, max_quality_drop=0.5)

    assert told == (Action.ADVANCE, Reason.HEALTHY)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        pytest.param(0.0, (Action.HOLD, Reason.CANARY_MISSING), id="just gone"),
        pytest.param(119.9, (Action.HOLD, Reason.CANARY_MISSING), id="within patience"),
        pytest.param(120.0, (Action.ROLL_BACK, Reason.CANARY_MISSING), id="beyond"),
    ],
)
def test_a_canary_that_does_not_serve_is_awaited_for_a_while(missing, expected):
    assert judged(seen(500), seen(100), missing=missing) == expected


def test_a_step_lasts_its_time():
    assert judged(seen(500), seen(100), elapsed=59.9) == (Action.HOLD, Reason.TOO_EARLY)
    assert judged(seen(500), seen(100), elapsed=60.0) == (Action.ADVANCE, Reason.HEALTHY)


def test_clear_harm_does_not_wait_for_the_time_of_the_step():
    assert judged(seen(500), seen(5, 5), elapsed=0.0)[0] is Action.ROLL_BACK


def test_the_last_step_promotes():
    verdict = judge(plan_of(), evidence_of(seen(500), seen(100)), elapsed=60.0, is_last=True)

    assert verdict.action is Action.PROMOTE


def test_ttft_is_not_judged_where_the_plan_says_so():
    told = judged(seen(500, ttft=None), seen(100, ttft=None), max_ttft_ratio=None)

    assert told == (Action.ADVANCE, Reason.HEALTHY)


def test_the_numbers_behind_a_verdict_are_told():
    numbers = measure(plan_of(), evidence_of(seen(1000, 10), seen(200, 4, ttft=0.2), (DROPPED,)))

    assert numbers.error_delta == pytest.approx(0.01)
    assert numbers.error_delta_low < numbers.error_delta
    assert numbers.ttft_ratio == pytest.approx(2.0, rel=0.03)
    assert 1.0 < numbers.ttft_ratio_low < numbers.ttft_ratio
    assert (numbers.stable_quality, numbers.canary_quality) == (1.0, 0.5)


def test_what_is_missing_is_not_zero():
    numbers = measure(plan_of(), evidence_of())

    assert numbers.canary_failed_share is None
    assert numbers.error_delta is None
    assert numbers.ttft_ratio is None
    assert numbers.canary_quality is None


def _rolled_back(generator, plan, *, failing, slower, requests=400):
    """Play one step, looked at after every ten requests of the canary."""
    stable, canary = Tally(), Tally()
    for number in range(requests):
        for _ in range(4):
            stable.count(ttft=generator.lognormal(-2, 0.5), failed=generator.random() < 0.02)
        slow = slower * generator.lognormal(-2, 0.5)
        canary.count(ttft=slow, failed=generator.random() < failing)
        if number % 10 == 9:
            evidence = evidence_of(stable.evidence(), canary.evidence())
            if judge(plan, evidence, elapsed=0.0).action is Action.ROLL_BACK:
                return True
    return False


def test_noise_rolls_an_equal_canary_back_no_more_often_than_the_level():
    generator = np.random.default_rng(11)
    plan = plan_of(max_ttft_ratio=1.0, max_error_delta=0.0, steps=(1.0,))
    wrong = sum(_rolled_back(generator, plan, failing=0.02, slower=1.0) for _ in range(40))

    assert wrong / 40 <= 0.05


@pytest.mark.parametrize(
    ("failing", "slower"),
    [pytest.param(0.12, 1.0, id="failures"), pytest.param(0.02, 2.5, id="latency")],
)
def test_a_harmful_canary_is_found_within_some_hundred_requests(failing, slower):
    generator = np.random.default_rng(12)
    plan = plan_of()
    found = sum(_rolled_back(generator, plan, failing=failing, slower=slower) for _ in range(10))

    assert found >= 9
