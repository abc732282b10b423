"""What the console shows at one moment: frozen values for the page and for the terminal."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

from dashboards.console.sections import (
    AnomalyEvent,
    Capacity,
    Decision,
    Demand,
    Gpu,
    Latency,
    Outlook,
    Replica,
    Replicas,
    Signal,
    Target,
    Traffic,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the console says about the stack it stands in front of."""

    model: str
    step_seconds: float = 10.0
    points: int = 180
    addresses: Mapping[str, str] = field(
        default_factory=dict
    )  # name -> URL; `API` or `gateway` is the one to try
    notes: tuple[str, ...] = ()  # what is simulated or paced, in words
    compression: float = 1.0  # seconds of the replayed trace per second lived; 1 is real time
    ttft_objective_seconds: float | None = None
    tpot_objective_seconds: float | None = None
    fresh_seconds: float = 30.0  # a gauge that has been silent for longer is not "now"
    decisions: int = 30

    def __post_init__(self) -> None:
        if self.step_seconds <= 0 or self.points < 2:  # noqa: PLR2004 - a line needs two points
            raise ValueError(
                f"expected step_seconds > 0 and points >= 2, "
                f"got step_seconds {self.step_seconds}, points {self.points}"
            )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the console shows at `at`; every `Points` lies on the grid `times`."""

    at: float
    settings: Settings
    times: tuple[float, ...]
    demand: Demand | Unavailable
    forecast: Outlook | Unavailable | None
    replicas: Replicas | Unavailable
    latency: Latency | Unavailable
    traffic: Traffic | Unavailable
    gpus: tuple[Gpu, ...] | Unavailable
    capacity: Capacity | Unavailable
    fleet: tuple[Replica, ...] | Unavailable
    signals: tuple[Signal, ...] | Unavailable
    anomalies: tuple[AnomalyEvent, ...] | Unavailable
    decisions: tuple[Decision, ...] | Unavailable
    targets: tuple[Target, ...] | Unavailable

    @property
    def problems(self) -> tuple[str, ...]:
        """What is amiss with the collection, in words; empty when all answer."""
        silent: dict[str, list[str]] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, Unavailable):
                silent.setdefault(value.unavailable, []).append(one.name)
        found = [f"Cannot read {', '.join(names)}: {why}" for why, names in silent.items()]
        targets = () if isinstance(self.targets, Unavailable) else self.targets
        down = [f"{one.job} at {one.instance} does not answer" for one in targets if not one.up]
        return (*found, *down)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers; what is not finite becomes null."""
        plain: dict[str, Any] = to_plain(self)
        return {**plain, "problems": list(self.problems)}


def to_plain(value: Any) -> Any:
    """Turn values into what JSON can hold, whatever was handed in."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return to_plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_plain(getattr(value, one.name)) for one in fields(value)}
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if math.isfinite(value) else None
    return str(value)
