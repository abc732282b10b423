import pytest

from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.tenancy.priority import Priority


def test_budgets_follow_from_one_objective():
    settings = AdmissionSettings(ttft_objective_seconds=0.5, batch_budget_seconds=600.0)

    assert [settings.budget_seconds(one) for one in Priority] == [0.5, 2.0, 600.0]


@pytest.mark.parametrize("name", ["headroom", "patience", "ageing_seconds", "lookahead"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_what_cannot_be_honoured_is_refused(name, value):
    with pytest.raises(ValueError, match=f"admission setting {name} must be above 0"):
        AdmissionSettings(**{name: value})


def test_a_headroom_beyond_the_budget_is_refused():
    with pytest.raises(ValueError, match=r"expected 0 to 1, got 1\.5"):
        AdmissionSettings(headroom=1.5)


def test_waiting_and_holding_can_be_switched_off():
    settings = AdmissionSettings(max_waiting=0, hold_seconds=0)

    assert (settings.max_waiting, settings.hold_seconds) == (0, 0)
