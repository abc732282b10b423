import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gateway.routing.retry_budget import WINDOW_SECONDS, RetryBudget, RetrySettings


def spend(budget, now, model="tiny"):
    """Retry until the budget says no, and return how often it allowed it."""
    return next(tries for tries in range(10_000) if not budget.may_retry(model, now))


def test_retries_are_a_share_of_recent_requests():
    budget = RetryBudget(RetrySettings(share=0.2, per_second=0.0))
    for _ in range(100):
        budget.requested("tiny", 0.0)

    assert spend(budget, 5.0) == 20
    assert spend(budget, 9.9) == 0


def test_a_quiet_tier_may_retry_too():
    budget = RetryBudget(RetrySettings(share=0.2, per_second=0.5))

    assert spend(budget, 0.0) == 5
    assert spend(budget, WINDOW_SECONDS) == 5


def test_requests_that_are_past_earn_nothing():
    budget = RetryBudget(RetrySettings(share=0.2, per_second=0.0))
    for _ in range(100):
        budget.requested("tiny", 0.5)

    assert spend(budget, 9.9) == 20
    budget = RetryBudget(RetrySettings(share=0.2, per_second=0.0))
    for _ in range(100):
        budget.requested("tiny", 0.5)
    assert spend(budget, 10.0) == 0


def test_one_model_does_not_spend_for_another():
    budget = RetryBudget(RetrySettings(share=0.0, per_second=0.1))

    assert spend(budget, 0.0, "tiny") == 1
    assert spend(budget, 0.0, "other") == 1


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=200),
    st.floats(0, 1),
    st.floats(0, 2),
)
def test_retries_of_any_window_are_within_the_budget(events, share, per_second):
    budget = RetryBudget(RetrySettings(share=share, per_second=per_second))
    now, requests, retries = 0.0, [], []
    for wait, is_retry in events:
        now += wait
        since = int(now) - WINDOW_SECONDS + 1
        if not is_retry:
            budget.requested("tiny", now)
            requests.append(now)
        elif budget.may_retry("tiny", now):
            retries.append(now)
            recent = sum(at >= since for at in requests)
            allowed = share * recent + per_second * WINDOW_SECONDS
            assert sum(at >= since for at in retries) <= allowed


@pytest.mark.parametrize(("setting", "value"), [("share", 1.1), ("per_second", -1.0)])
def test_settings_that_make_no_sense_are_refused(setting, value):
    with pytest.raises(ValueError, match="routing setting"):
        RetrySettings(**{setting: value})
