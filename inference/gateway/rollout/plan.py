"""The plan of a rollout: which two versions, how traffic moves, and what is still good enough."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, ClassVar

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,95}")
_MOST_PROBES = 50
_LONGEST_PATTERN = 500
_LONGEST_PROMPT = 8_000
_MOST_STEPS = 20
_MOST_TOKENS = 1024


class Strategy(StrEnum):
    """How new sessions come to the canary."""

    CANARY = "canary"  # in steps, each of which it must stand
    BLUE_GREEN = "blue_green"  # all at once, when it has room for all


@dataclass(frozen=True, slots=True)
class Probe:
    """A question of known answer: what a version must still be able to do."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    expect: str  # a regular expression, found anywhere in the answer
    prompt: str | None = None  # of a plain completion, or else:
    messages: tuple[dict[str, Any], ...] = ()  # of a chat
    max_tokens: int = 32

    def __post_init__(self) -> None:
        if (self.prompt is None) == (not self.messages):
            raise ValueError("a probe has either a 'prompt' or 'messages'")
        if len(self.prompt or "") > _LONGEST_PROMPT:
            raise ValueError(f"the prompt of a probe is longer than {_LONGEST_PROMPT} characters")
        if not 1 <= self.max_tokens <= _MOST_TOKENS:
            raise ValueError(
                f"a probe's 'max_tokens' is 1 to {_MOST_TOKENS}, got {self.max_tokens}"
            )
        _check_pattern(self.expect)

    def body(self, model: str) -> dict[str, Any]:
        """Return the request, worded so that the same version gives the same answer again."""
        asked = {"messages": list(self.messages)} if self.messages else {"prompt": self.prompt}
        return {
            "model": model, **asked, "max_tokens": self.max_tokens, "temperature": 0.0, "seed": 0
        }  # fmt: skip

    def passes(self, answer: str) -> bool:
        """Tell whether an answer is what is expected."""
        return re.search(self.expect, answer) is not None


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """Two versions of a model, and the rules by which one follows the other."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    model: str
    stable: str  # "" is the version of replicas that name none
    canary: str
    strategy: Strategy = Strategy.CANARY
    steps: tuple[float, ...] = (0.05, 0.25, 0.5, 1.0)  # shares of new sessions
    step_seconds: float = 300.0  # that each step lasts at least
    min_requests: int = 100  # of the canary that each step asks for
    max_ttft_ratio: float | None = 1.25  # p95 of the canary's TTFT over stable's; None: not judged
    max_error_delta: float = 0.01  # share of failures that the canary may have above stable's
    max_quality_drop: float = 0.0  # share of probes that it may fail beyond those stable fails
    probes: tuple[Probe, ...] = ()
    level: float = 0.05  # chance that noise alone rolls an equal canary back, over all steps
    patience_seconds: float = 120.0  # without any serving replica of the canary, then back
    prepare_seconds: float = 900.0  # the same, before it has had any traffic
    drain_seconds: float = 900.0  # blue/green: that old sessions may last

    def __post_init__(self) -> None:
        self._check_versions()
        self._check_steps()
        self._check_limits()
        for name in ("step_seconds", "patience_seconds", "prepare_seconds", "drain_seconds"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"'{name}' is 0 seconds or more, got {value}")
        if len(self.probes) > _MOST_PROBES:
            raise ValueError(f"expected at most {_MOST_PROBES} probes, got {len(self.probes)}")

    @property
    def weights(self) -> tuple[float, ...]:
        """Shares of new sessions that the canary gets, step by step."""
        return (1.0,) if self.strategy is Strategy.BLUE_GREEN else self.steps

    @property
    def interval_level(self) -> float:
        """Level of each confidence interval: two tests in each step, two intervals in each."""
        return self.level / (4 * len(self.weights))

    def _check_versions(self) -> None:
        for name in ("model", "canary"):
            if not _NAME.fullmatch(getattr(self, name)):
                raise ValueError(
                    f"'{name}' is up to 96 letters, digits and '._/+-', "
                    f"got {getattr(self, name)[:100]!r}"
                )
        if self.stable and not _NAME.fullmatch(self.stable):
            raise ValueError(f"'stable' is a version or empty, got {self.stable[:100]!r}")
        if self.stable == self.canary:
            raise ValueError(f"stable and canary are both {self.canary!r}: name two versions")

    def _check_steps(self) -> None:
        if not 1 <= len(self.steps) <= _MOST_STEPS:
            raise ValueError(f"expected 1 to {_MOST_STEPS} steps, got {len(self.steps)}")
        if not all(0 < step <= 1 for step in self.steps):
            raise ValueError(f"a step is a share above 0 and up to 1, got {list(self.steps)}")
        if any(later <= earlier for earlier, later in pairwise(self.steps)):
            raise ValueError(f"steps rise from each to the next, got {list(self.steps)}")

    def _check_limits(self) -> None:
        if self.min_requests < 1:
            raise ValueError(f"'min_requests' is 1 or more, got {self.min_requests}")
        ratio = self.max_ttft_ratio
        if ratio is not None and not (math.isfinite(ratio) and ratio >= 1):
            raise ValueError(f"'max_ttft_ratio' is 1 or more, or null, got {ratio}")
        for name in ("max_error_delta", "max_quality_drop"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"'{name}' is a share from 0 to below 1, got {getattr(self, name)}"
                )
        if not 0 < self.level < 1:
            raise ValueError(f"'level' is between 0 and 1, got {self.level}")


def _check_pattern(pattern: str) -> None:
    if not 1 <= len(pattern) <= _LONGEST_PATTERN:
        raise ValueError(f"'expect' is a regular expression of 1 to {_LONGEST_PATTERN} characters")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"'expect' is no regular expression: {error}") from error
