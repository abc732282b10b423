"""The settings of routing, each with a default that suits one machine and many."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inference.gateway.routing.bounds import above_zero, not_negative
from inference.gateway.routing.breaker import BreakerSettings
from inference.gateway.routing.hedging import HedgeSettings
from inference.gateway.routing.region import Region
from inference.gateway.routing.retry_budget import RetrySettings
from inference.gateway.routing.score import Weights


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """What routing goes by; seconds unless the name says otherwise."""

    region: str = ""  # where this gateway is; replicas that name no region are there too
    regions: Mapping[str, Region] = field(default_factory=dict)
    seconds_per_cost: float = 0.0  # of latency that a unit of a region's cost is worth
    weights: Weights = field(default_factory=Weights)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    hedge: HedgeSettings = field(default_factory=HedgeSettings)
    refresh_seconds: float = 0.1  # between two readings of the process table
    load_seconds: float = 0.25  # between two askings of one replica for its load
    load_timeout_seconds: float = 1.0
    stale_seconds: float = 2.0  # a load that is older says no more than that it is late
    stuck_seconds: float = 10.0  # an engine that has work and did not advance for so long is stuck
    session_seconds: float = 1800.0  # a conversation that is silent for longer has no replica
    sessions_kept: int = 50_000
    prefixes_kept: int = 65_536  # blocks of prompts, of all replicas together

    def __post_init__(self) -> None:
        above_zero(
            refresh_seconds=self.refresh_seconds,
            load_seconds=self.load_seconds,
            load_timeout_seconds=self.load_timeout_seconds,
            stale_seconds=self.stale_seconds,
            stuck_seconds=self.stuck_seconds,
            session_seconds=self.session_seconds,
            sessions_kept=self.sessions_kept,
            prefixes_kept=self.prefixes_kept,
        )
        not_negative(seconds_per_cost=self.seconds_per_cost)
        if self.stale_seconds <= self.load_seconds:
            raise ValueError(
                f"routing setting stale_seconds ({self.stale_seconds:g}) must be above "
                f"load_seconds ({self.load_seconds:g}): a load is as old as that before the next"
            )
