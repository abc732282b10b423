import pytest

from inference.gateway.limits import GatewayLimits


def test_a_limit_that_cannot_be_kept_is_refused_by_name():
    with pytest.raises(ValueError, match=r"idle_seconds must be above 0.*default is 120"):
        GatewayLimits(idle_seconds=0)
    with pytest.raises(ValueError, match="body_seconds"):
        GatewayLimits(body_seconds=-1)


def test_retrying_can_be_switched_off():
    assert GatewayLimits(max_losses=0).max_losses == 0
