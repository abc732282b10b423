"""Regions: how far away each is, in one number that has a delay and a price in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from inference.gateway.routing.bounds import not_negative

_HERE = ""  # a record without a region is of this one


@dataclass(frozen=True, slots=True)
class Region:
    """What it takes to have a request served in a region instead of in this one."""

    latency_seconds: float = 0.0  # there and back
    cost: float = 0.0  # of one request, in any currency

    def __post_init__(self) -> None:
        not_negative(latency_seconds=self.latency_seconds, cost=self.cost)

    def distance(self, seconds_per_cost: float) -> float:
        """Return its latency in seconds, a unit of cost counted as so many more."""
        return self.latency_seconds + self.cost * seconds_per_cost


def distance(
    region: str, *, here: str, regions: Mapping[str, Region], seconds_per_cost: float
) -> float:
    """Return how far away a region is; one that is not listed is farther than any that is."""
    known = regions.get(region)
    if known is not None:
        return known.distance(seconds_per_cost)
    if region in {_HERE, here}:
        return 0.0
    return 1.0 + max((one.distance(seconds_per_cost) for one in regions.values()), default=0.0)
