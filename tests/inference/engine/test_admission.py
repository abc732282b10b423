import pytest

from inference.engine.admission import Admission, Continuous, Dynamic, Static

CASES = pytest.mark.parametrize(
    ("policy", "waiting", "running", "oldest", "answers"),
    [
        pytest.param(Continuous(), 3, 5, 0.0, (3, None), id="continuous lets all in"),
        pytest.param(Static(4), 3, 0, 0.0, (3, None), id="static does not wait for company"),
        pytest.param(Static(4), 9, 0, 0.0, (4, None), id="static lets one batch in"),
        pytest.param(Static(4), 9, 1, 99.0, (0, None), id="static waits for the last one"),
        pytest.param(Dynamic(4, 2.0), 3, 0, 1.5, (0, 0.5), id="dynamic waits for company"),
        pytest.param(Dynamic(4, 2.0), 3, 0, 2.0, (3, 0.0), id="dynamic waits no longer"),
        pytest.param(Dynamic(4, 2.0), 4, 0, 0.0, (4, 2.0), id="a full batch need not wait"),
        pytest.param(Dynamic(4, 2.0), 9, 1, 9.0, (0, None), id="dynamic waits for the last one"),
        pytest.param(Dynamic(4, 2.0), 0, 0, 0.0, (0, None), id="nobody waits"),
    ],
)


@CASES
def test_a_policy_says_who_may_join_and_when_to_ask_again(
    policy: Admission,
    waiting: int,
    running: int,
    oldest: float,
    answers: tuple[int, float | None],
):
    admitted = policy.admits(waiting, running, oldest)
    again = policy.look_again(waiting, running, oldest)

    assert (admitted, again) == answers


@pytest.mark.parametrize(
    "make", [lambda: Static(0), lambda: Dynamic(0, 1.0), lambda: Dynamic(1, -1.0)]
)
def test_policies_that_admit_nobody_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()
