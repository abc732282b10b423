import pytest

from inference.gateway.routing.score import Weights
from inference.gateway.routing.settings import RoutingSettings


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RoutingSettings(refresh_seconds=0.0), "refresh_seconds must be above 0, got 0"),
        (lambda: RoutingSettings(sessions_kept=0), "sessions_kept must be above 0, got 0"),
        (lambda: RoutingSettings(seconds_per_cost=-1.0), "seconds_per_cost must not be negative"),
        (
            lambda: RoutingSettings(stale_seconds=0.25),
            r"stale_seconds \(0.25\) must be above load_seconds \(0.25\)",
        ),
        (lambda: Weights(wait=-1.0), "weight_wait must not be negative, got -1"),
        (lambda: Weights(prefix=2.0), "weight_prefix must be from 0 to 1, got 2"),
        (lambda: Weights(kv=float("nan")), "weight_kv must not be negative, got nan"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_with_its_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()
