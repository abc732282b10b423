import pytest

from inference.gateway.tenancy.caller import Quota
from inference.gateway.tenancy.settings import TenancySettings


def test_who_has_no_key_has_the_quota_that_is_set():
    assert TenancySettings().anonymous.quota.is_unbounded

    settings = TenancySettings(anonymous_requests_per_minute=6, anonymous_concurrent=2)
    assert settings.anonymous.quota == Quota(requests_per_minute=6, concurrent=2)


def test_settings_are_above_zero():
    with pytest.raises(ValueError, match=r"burst_seconds must be a number above 0.*default is 60"):
        TenancySettings(burst_seconds=0)
