import pytest

from inference.gateway.routing.region import Region, distance

REGIONS = {"east": Region(latency_seconds=0.02, cost=3.0), "west": Region(latency_seconds=0.08)}


@pytest.mark.parametrize(
    ("region", "seconds_per_cost", "expected"),
    [
        pytest.param("", 0.0, 0.0, id="none told"),
        pytest.param("here", 0.0, 0.0, id="our own"),
        pytest.param("east", 0.0, 0.02, id="by latency"),
        pytest.param("east", 0.1, pytest.approx(0.32), id="by latency and cost"),
        pytest.param("west", 0.1, 0.08, id="far and free"),
        pytest.param("moon", 0.0, 1.08, id="beyond all that are listed"),
    ],
)
def test_a_region_is_as_far_as_its_latency_and_its_price(region, seconds_per_cost, expected):
    one = distance(region, here="here", regions=REGIONS, seconds_per_cost=seconds_per_cost)

    assert one == expected


def test_our_own_region_may_be_dear_too():
    regions = {"here": Region(cost=5.0)}

    assert distance("here", here="here", regions=regions, seconds_per_cost=0.1) == 0.5


def test_a_negative_distance_is_refused():
    with pytest.raises(ValueError, match="latency_seconds must not be negative, got -1"):
        Region(latency_seconds=-1.0)
