import pytest

from inference.gateway.coalescing.settings import CoalescingSettings


def test_sharing_is_on_and_keeping_is_off_unless_asked_for():
    settings = CoalescingSettings()

    assert settings.enabled
    assert settings.cache_seconds == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("flight_bytes", 0, id="no room for a stream"),
        pytest.param("cache_seconds", -1.0, id="a time before now"),
        pytest.param("cache_seconds", float("nan"), id="no number"),
        pytest.param("cache_bytes", 0, id="no room for answers"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} must"):
        CoalescingSettings(**{field: value})
