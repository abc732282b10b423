"""The score of a day counts what clients felt; what is not known is not zero."""

from warmfront.load import Outcome
from warmfront.score import caveats, score


def _outcome(**changes: object) -> Outcome:
    fields = {
        "due": 0.0, "late": 0.0, "status": 200, "ttft": 0.1, "duration": 1.0, "output_tokens": 10,
    }  # fmt: skip
    return Outcome(**{**fields, **changes})


def _score(outcomes: list[Outcome]):
    return score(
        "predictive",
        outcomes,
        cold_start_hits=2,
        replica_seconds={"serving": 7.0, "standby": 3.0},
        ttft_objective=0.5,
    )


def test_a_request_without_an_answer_is_never_within_the_objective():
    done = _score([_outcome(), _outcome(status=503, ttft=None), _outcome(error="cut off")])

    assert (done.turned_away, done.failed) == (1, 1)
    assert done.within_objective == 1 / 3


def test_percentiles_are_of_good_answers_only():
    done = _score([_outcome(ttft=0.2), _outcome(ttft=9.0, status=500)])

    assert (done.ttft_p50, done.ttft_p99) == (0.2, 0.2)


def test_without_a_good_answer_there_is_no_percentile():
    assert _score([_outcome(status=0, ttft=None)]).ttft_p95 is None


def test_every_state_that_holds_a_device_is_paid_for():
    assert _score([_outcome()]).paid_seconds == 10.0


def test_a_load_generator_that_lagged_is_told():
    assert caveats([_score([_outcome(late=0.01)])]) == []
    assert "0.40 s late" in caveats([_score([_outcome(late=0.4)])])[0]
