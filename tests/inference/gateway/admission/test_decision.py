import pytest

from inference.gateway.admission.decision import Outlook


@pytest.mark.parametrize(
    ("wait", "first_token", "is_hopeless"),
    [
        pytest.param(0.8, 0.0, False, id="within the headroom"),
        pytest.param(0.81, 0.0, True, id="beyond the headroom"),
        pytest.param(0.55, 0.3, False, id="leaves time for the first token"),
        pytest.param(0.57, 0.3, True, id="leaves too little for the first token"),
        pytest.param(0.4, 9.0, False, id="a slow first token leaves half of the budget"),
        pytest.param(None, 0.0, False, id="not known"),
    ],
)
def test_a_request_is_hopeless_when_it_would_miss_its_budget(wait, first_token, is_hopeless):
    assert Outlook(wait, first_token, budget=1.0, headroom=0.8).is_hopeless is is_hopeless
