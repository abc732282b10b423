import pytest

from inference.gateway.objectives import Objective, Objectives, Target, judge
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Outcome, Timeline, Usage

OBJECTIVE = Objective(ttft_seconds=1.0, tpot_seconds=0.1)


def timeline(ttft=0.5, tpot=0.05):
    return Timeline(
        0.0, first_token=ttft, last_token=ttft + 10 * tpot, flushed=99.0, usage=Usage(5, 11)
    )


@pytest.mark.parametrize(
    ("ttft", "tpot", "met"),
    [
        pytest.param(1.0, 0.05, {Target.TTFT: True, Target.TPOT: True}, id="both"),
        pytest.param(1.01, 0.05, {Target.TTFT: False, Target.TPOT: True}, id="late"),
        pytest.param(1.0, 0.11, {Target.TTFT: True, Target.TPOT: False}, id="slow"),
    ],
)
def test_an_answer_meets_what_it_was_in_time_for(ttft, tpot, met):
    assert dict(judge(timeline(ttft, tpot), Outcome.ANSWERED, OBJECTIVE)) == met


def test_what_nobody_measured_is_neither_met_nor_missed():
    unknown = Timeline(0.0, flushed=0.2, usage=Usage(5, 11))
    single = Timeline(0.0, first_token=0.1, last_token=0.1, flushed=0.2, usage=Usage(5, 1))

    assert dict(judge(unknown, Outcome.ANSWERED, OBJECTIVE)) == {}
    assert dict(judge(single, Outcome.ANSWERED, OBJECTIVE)) == {Target.TTFT: True}


@pytest.mark.parametrize("outcome", list(Outcome), ids=lambda one: one.name)
def test_our_failures_miss_and_those_of_clients_are_no_evidence(outcome):
    theirs = {Outcome.REJECTED, Outcome.RATE_LIMITED, Outcome.DISCONNECTED}
    met = dict(judge(timeline(), outcome, OBJECTIVE))

    if outcome in theirs:
        assert met == {}
    else:
        is_met = outcome is Outcome.ANSWERED
        assert met == {Target.TTFT: is_met, Target.TPOT: is_met}


def test_each_class_has_its_own_objective():
    objectives = Objectives()
    limits = [objectives.of(priority).ttft_seconds for priority in Priority]

    assert limits == sorted(set(limits))


@pytest.mark.parametrize("field", ["ttft_seconds", "tpot_seconds"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_an_objective_that_cannot_be_met_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be above 0"):
        Objective(**{field: value})
