"""A plan: how many replicas should serve and how many stand by, with the reason and numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from autoscaler.observation import Fleet
from telemetry.lifecycle import ReplicaState

DOUBT = "doubt_"  # begins the names of the numbers that are 1 for a doubt of the forecast


class Reason(StrEnum):
    """The last thing that changed what the plan wants; also the label of its metric."""

    DEMAND_FORECAST = "demand_forecast"
    DEMAND_NOW = "demand_now"  # present demand asks for more than the forecast, or rules alone
    NO_FORECAST = "no_forecast"  # a forecast was wanted and there is none: present demand rules
    DOUBT = "doubt"  # the forecast has doubts: nothing goes down on its word
    COLD = "cold"  # what a replica sustains is not known yet
    NO_DATA = "no_data"  # demand is unknown: nothing goes down
    HELD = "held"  # less is wanted than lately, and lately still counts
    FLOOR = "floor"
    CEILING = "ceiling"


class Mode(StrEnum):
    """Whether plans look ahead."""

    PREDICTIVE = "predictive"
    REACTIVE = "reactive"


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator has decided: the bounds and the temper of planning."""

    minimum: int = 1  # replicas that always serve
    maximum: int = 4  # replicas that serve or stand by, at most
    standby: int = 0  # spare replicas beyond what the forecast wants ready
    quantile: float = 0.95  # of the forecast that capacity must cover
    utilisation: float = 0.8  # share of a replica's capacity that is planned with
    hold_seconds: float = 120.0  # how long a want counts after it has passed
    mode: Mode = Mode.PREDICTIVE
    tick_seconds: float = 1.0  # from one plan to the next
    backlog_seconds: float = 5.0  # time in which waiting requests should be worked off

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= self.maximum or self.maximum < 1:
            raise ValueError(
                f"expected 0 <= minimum <= maximum and maximum >= 1, "
                f"got minimum {self.minimum}, maximum {self.maximum}"
            )
        if not 0 < self.quantile < 1 or not 0 < self.utilisation <= 1:
            raise ValueError(
                f"expected a quantile within (0, 1) and a utilisation within (0, 1], "
                f"got {self.quantile} and {self.utilisation}"
            )
        if self.standby < 0 or self.hold_seconds < 0:
            raise ValueError(
                f"expected standby and hold_seconds of at least 0, "
                f"got {self.standby} and {self.hold_seconds}"
            )
        if self.tick_seconds <= 0 or self.backlog_seconds <= 0:
            raise ValueError(
                f"expected tick_seconds and backlog_seconds above 0, "
                f"got {self.tick_seconds} and {self.backlog_seconds}"
            )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Replicas wanted at one moment: serving, and ready (serving or standing by)."""

    at: float
    serving: int
    ready: int
    reason: Reason

    def raised(self, serving: int, ready: int, reason: Reason) -> "Wanted":
        """Return at least so many, for `reason` where that is more than before."""
        more_serving = max(self.serving, serving)
        more_ready = max(self.ready, ready, more_serving)
        if (more_serving, more_ready) == (self.serving, self.ready):
            return self
        return Wanted(self.at, more_serving, more_ready, reason)


@dataclass(frozen=True, slots=True)
class PlanState:
    """What a planner must remember: what was wanted within the hold, oldest first."""

    wanted: tuple[Wanted, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Wanted replicas per tier, why, and the numbers behind it; an unknown number is absent."""

    at: float
    model: str
    serving: int
    standby: int
    reason: Reason
    numbers: Mapping[str, float]

    @property
    def ready(self) -> int:
        """Replicas that serve or stand by."""
        return self.serving + self.standby


def sentence(plan: Plan, fleet: Fleet) -> str:
    """Say in one sentence what the plan wants, what there is, and why."""
    return (
        f"{plan.serving} serving and {plan.standby} on standby "
        f"(now {_present(fleet)}): {_BECAUSE[plan.reason](plan.numbers)}."
    )


def _present(fleet: Fleet) -> str:
    """Name the states that some replica is in."""
    counts = {state: count for state, count in fleet.counts.items() if count}
    counts = {ReplicaState.SERVING: fleet.serving, **counts}
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def _forecast(numbers: Mapping[str, float]) -> str:
    soon, later = _of(numbers, "forecast_soon"), _of(numbers, "forecast_later")
    demand = f"up to {soon} req/s are forecast until a replica can wake"
    if later != soon:
        demand += f", {later} until one can start"
    return f"{demand} (quantile {_of(numbers, 'quantile')}), and {_each(numbers)}"


def _now(numbers: Mapping[str, float]) -> str:
    return f"{_demand(numbers)}, and {_each(numbers)}"


def _no_forecast(numbers: Mapping[str, float]) -> str:
    return f"there is no forecast to go by; {_demand(numbers)}, and {_each(numbers)}"


def _doubt(numbers: Mapping[str, float]) -> str:
    doubts = [
        name.removeprefix(DOUBT).replace("_", " ") for name in numbers if name.startswith(DOUBT)
    ]
    why = f" ({', '.join(doubts)})" if doubts else ""
    return (
        f"the forecast is doubted{why}, so nothing goes down on its word; "
        f"{_demand(numbers)}, and {_each(numbers)}"
    )


def _cold(numbers: Mapping[str, float]) -> str:
    return f"{_demand(numbers)}, but what one replica sustains has not been measured yet"


def _no_data(numbers: Mapping[str, float]) -> str:
    return f"present demand is unknown, so nothing goes down ({_of(numbers, 'backlog')} waiting)"


def _held(numbers: Mapping[str, float]) -> str:
    return (
        f"{_of(numbers, 'wanted_serving')} serving of {_of(numbers, 'wanted_ready')} ready would "
        f"do now, but more was wanted within the last {_of(numbers, 'hold_seconds')} s"
    )


def _floor(numbers: Mapping[str, float]) -> str:
    return f"{_demand(numbers)}, and the policy keeps at least {_of(numbers, 'minimum')} serving"


def _ceiling(numbers: Mapping[str, float]) -> str:
    return (
        f"{_of(numbers, 'held_serving')} serving of {_of(numbers, 'held_ready')} ready are "
        f"wanted, but the policy allows {_of(numbers, 'maximum')}; {_demand(numbers)}"
    )


def _demand(numbers: Mapping[str, float]) -> str:
    waiting = f" with {numbers['backlog']:g} waiting" if numbers.get("backlog") else ""
    if "demand" not in numbers:
        return f"present demand is unknown{waiting}"
    return f"demand is {_of(numbers, 'demand')} req/s{waiting}"


def _each(numbers: Mapping[str, float]) -> str:
    return f"one replica is planned to take {_of(numbers, 'per_replica')} req/s"


def _of(numbers: Mapping[str, float], name: str) -> str:
    return f"{numbers[name]:.3g}" if name in numbers else "an unknown number of"


_BECAUSE: dict[Reason, Callable[[Mapping[str, float]], str]] = {
    Reason.DEMAND_FORECAST: _forecast,
    Reason.DEMAND_NOW: _now,
    Reason.NO_FORECAST: _no_forecast,
    Reason.DOUBT: _doubt,
    Reason.COLD: _cold,
    Reason.NO_DATA: _no_data,
    Reason.HELD: _held,
    Reason.FLOOR: _floor,
    Reason.CEILING: _ceiling,
}
