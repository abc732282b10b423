import pytest

from inference.gateway.tenancy.caller import Caller, Quota, Scope


def test_an_anonymous_caller_may_infer_without_bound_and_no_more():
    assert Caller().scopes == {Scope.INFERENCE}
    assert Caller().quota.is_unbounded


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "concurrent"])
def test_a_quota_is_above_zero(name):
    assert not Quota(**{name: 1}).is_unbounded
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"quota {name} must be above 0"):
            Quota(**{name: wrong})
