"""The sections of a snapshot: what was read about demand, replicas, latency, GPUs and the rest.

A number that is not known is None, never zero. A section that could not be read is `Unavailable`
with its reason, and the other sections still stand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Points: TypeAlias = tuple[float | None, ...]  # one per grid time; None is a gap


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A section that could not be read, and why."""

    unavailable: str


@dataclass(frozen=True, slots=True)
class Band:
    """Forecast quantiles 0.1, 0.5 and 0.9 in requests/s, one value per time."""

    low: Points
    middle: Points
    high: Points


@dataclass(frozen=True, slots=True)
class Demand:
    """Arrivals in requests/s on the grid, and what had been forecast for the same times."""

    now: float | None
    rate: Points
    expected_now: float | None
    low_now: float | None
    high_now: float | None
    past: Band
    coverage: Mapping[str, float]  # quantile -> share of recent demand at or below it


@dataclass(frozen=True, slots=True)
class Outlook:
    """The newest forecast: a band for each coming step, ending at `times`."""

    origin: float
    step: float
    times: tuple[float, ...]
    band: Band


@dataclass(frozen=True, slots=True)
class Replicas:
    """Replicas by state and what the plan wanted by tier: over time and now."""

    by_state: Mapping[str, Points]
    wanted: Mapping[str, Points]
    now: Mapping[str, int]
    wanted_now: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Median and 95th percentile of a latency in seconds: over time and now."""

    p50: Points
    p95: Points
    p50_now: float | None
    p95_now: float | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Time to first token, and time per output token."""

    ttft: Percentiles
    tpot: Percentiles


@dataclass(frozen=True, slots=True)
class Traffic:
    """Tokens generated per second, and requests held and in flight."""

    output_tokens_per_second: Points
    in_flight: Points
    held: Points
    output_tokens_per_second_now: float | None
    in_flight_now: float | None
    held_now: float | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device as it last reported itself."""

    gpu: str
    uuid: str
    name: str
    host: str
    simulated: bool
    utilization_ratio: float | None
    memory_used_bytes: float | None
    memory_free_bytes: float | None
    power_watts: float | None
    temperature_celsius: float | None


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one replica sustains, and how long one takes to come, by step."""

    requests_per_second: float | None
    lead_seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica of the fleet."""

    id: str
    state: str
    since: float | None
    pid: int | None
    in_flight: float | None
    waiting: float | None


@dataclass(frozen=True, slots=True)
class Signal:
    """How unusual one signal is, in robust standard deviations, and its normal band."""

    name: str
    score: Points
    active: Points  # 1 while abnormal, 0 while normal
    score_now: float | None
    active_now: bool | None
    low_now: float | None
    high_now: float | None


@dataclass(frozen=True, slots=True)
class AnomalyEvent:
    """A signal that is abnormal as of `at`, or was from `at` until `until`."""

    at: float
    signal: str
    sentence: str
    until: float | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the autoscaler decided, with the reason and the numbers behind it."""

    at: float
    reason: str
    sentence: str
    serving: int | None
    standby: int | None
    numbers: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """One page that metrics are collected from, and whether it answered last time."""

    job: str
    instance: str
    up: bool
