"""The rule that the bundled model learns: from the numbers of a scaling decision to a sentence."""

import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

CAPACITIES = range(2, 25)
LIMITS = range(1, 9)
FORECASTS = range(201)
HELD_OUT_SHARE = 10

FAMILIAR, FURTHER = 0.4, 0.35
FURTHER_CAPACITIES = range(2, 41)
CLOSE = (-2, -1, 0, 0, 1, 1, 2, 3)

PROMPT = re.compile(
    r"forecast (?P<forecast>\d+) rps, capacity (?P<capacity>\d+) rps per replica, "
    r"(?P<replicas>\d+) replicas?, limit (?P<limit>\d+)"
)


class Outcome(StrEnum):
    """What the decision comes to."""

    UP = "up"
    DOWN = "down"
    HOLD = "hold"
    CAPPED = "capped"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Case:
    """The numbers of one decision; one replica always stays warm."""

    forecast: int
    capacity: int
    replicas: int
    limit: int

    def __post_init__(self) -> None:
        if self.forecast < 0 or self.capacity < 1:
            raise ValueError(f"a forecast is 0 or more and a capacity 1 or more, not {self}")
        if not 1 <= self.replicas <= self.limit:
            raise ValueError(f"replicas lie between 1 and the limit, not {self}")

    @classmethod
    def parse(cls, prompt: str) -> Self:
        """Read the numbers back from a prompt."""
        match = PROMPT.fullmatch(prompt.strip())
        if match is None:
            raise ValueError(f"expected a prompt like {EXAMPLE.prompt!r}, not {prompt!r}")
        return cls(**{name: int(digits) for name, digits in match.groupdict().items()})

    @property
    def prompt(self) -> str:
        """The numbers as a user writes them."""
        return (
            f"forecast {self.forecast} rps, capacity {self.capacity} rps per replica, "
            f"{replicas(self.replicas)}, limit {self.limit}"
        )

    @property
    def needed(self) -> int:
        """Replicas that would carry the forecast, were there no limit."""
        return max(1, -(-self.forecast // self.capacity))

    @property
    def target(self) -> int:
        """Replicas to run: those needed, as far as the limit allows."""
        return min(self.needed, self.limit)

    @property
    def outcome(self) -> Outcome:
        """The kind of move; a limit that is too low comes before all others."""
        if self.needed > self.limit:
            return Outcome.CAPPED
        if self.forecast == 0:
            return Outcome.IDLE
        if self.target == self.replicas:
            return Outcome.HOLD
        return Outcome.UP if self.target > self.replicas else Outcome.DOWN

    @property
    def sentence(self) -> str:
        """Forecast, then what is carried, then the move: each part follows from the last."""
        return f"{self._demand}; {self._supply}, so {self._move}."

    @property
    def is_held_out(self) -> bool:
        """True of every case with this forecast and capacity, whatever its replicas and limit."""
        pair = f"{self.forecast}/{self.capacity}".encode()
        return zlib.crc32(pair) % HELD_OUT_SHARE == 0

    @property
    def _demand(self) -> str:
        if self.forecast == 0:
            return "No requests are forecast"
        if self.forecast == 1:
            return "1 request per second is forecast"
        return f"{self.forecast} requests per second are forecast"

    @property
    def _supply(self) -> str:
        """Count up to the target: whether to go on follows from what stands there already."""
        if self.outcome is Outcome.IDLE:
            return "1 replica stays warm"
        more = [f"{count} carry {count * self.capacity}" for count in range(2, self.target + 1)]
        return ", ".join([f"1 replica carries {self.capacity}", *more])

    @property
    def _move(self) -> str:
        at_limit = ", the limit" if self.outcome is Outcome.CAPPED else ""
        if self.target == self.replicas:
            return f"hold {replicas(self.replicas)}{at_limit}"
        direction = "up" if self.target > self.replicas else "down"
        return f"scale {direction} from {self.replicas} to {replicas(self.target)}{at_limit}"


EXAMPLE = Case(forecast=58, capacity=16, replicas=3, limit=8)


def replicas(count: int) -> str:
    """The count with its noun."""
    return "1 replica" if count == 1 else f"{count} replicas"


def grade(prompt: str, answer: str) -> bool:
    """True if the answer is, apart from surrounding space, the sentence for the prompt."""
    return answer.strip() == Case.parse(prompt).sentence


def every_case(capacity: int) -> Iterator[Case]:
    """All cases of one capacity that the model is taught or tested on."""
    for forecast in FORECASTS:
        for limit in LIMITS:
            for count in range(1, limit + 1):
                yield Case(forecast, capacity, count, limit)


def sample(rng: random.Random, *, held_out: bool) -> Case:
    """A case from one side of the split."""
    while True:
        case = _any_case(rng)
        if case.is_held_out == held_out:
            return case


def lesson(rng: random.Random) -> Case:
    """A taught case; most lie close to a multiple, and some beyond what the tests ask.

    Where only a few hundred pairs of numbers lie next to each other, a small model learns them
    by heart; the further ones make it compare.
    """
    while True:
        case = sample(rng, held_out=False) if rng.random() < FAMILIAR else _close_case(rng)
        if not case.is_held_out:
            return case


def _close_case(rng: random.Random) -> Case:
    capacity = rng.choice(FURTHER_CAPACITIES if rng.random() < FURTHER else CAPACITIES)
    multiple = rng.randint(1, max(LIMITS))
    forecast = max(0, multiple * capacity + rng.choice(CLOSE))
    limit = min(max(LIMITS), rng.choice((multiple, multiple + 1, rng.choice(LIMITS))))
    return Case(forecast, capacity, rng.randint(1, limit), limit)


def _any_case(rng: random.Random) -> Case:
    capacity = rng.choice(CAPACITIES)
    limit = rng.choices(LIMITS, weights=LIMITS)[0]
    forecast = min(_any_forecast(rng, capacity), max(FORECASTS))
    return Case(forecast, capacity, rng.randint(1, limit), limit)


def _any_forecast(rng: random.Random, capacity: int) -> int:
    """A third lie next to a multiple of the capacity, where the answer turns."""
    last = (max(LIMITS) + 1) * capacity
    beside = max(0, rng.randrange(0, last, capacity) + rng.choice((-1, 0, 1)))
    return rng.choices((beside, rng.randint(0, last), rng.choice(FORECASTS)), (2, 3, 1))[0]
