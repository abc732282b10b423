"""The retry budget: second tries are a small share of the requests, so that they never pile up.

It is spent where a replica was lost that may have begun. A refusal costs a replica nothing, and
is bounded by the number of tries alone.
"""

from collections import deque
from dataclasses import dataclass, field

from inference.gateway.routing.bounds import not_negative, shares

WINDOW_SECONDS = 10


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How many requests may be tried again that a replica may have begun."""

    share: float = 0.2  # of the model's recent requests
    per_second: float = 0.5  # allowed beside them, so that a quiet tier may retry as well

    def __post_init__(self) -> None:
        shares(retry_share=self.share)
        not_negative(retries_per_second=self.per_second)


class RetryBudget:
    """Requests and retries of the last seconds, for each model."""

    def __init__(self, settings: RetrySettings | None = None) -> None:
        self._settings = settings or RetrySettings()
        self._recent: dict[str, _Recent] = {}

    def requested(self, model: str, now: float) -> None:
        """Note a request, which earns a share of a retry."""
        self._of(model).at(int(now)).requests += 1

    def may_retry(self, model: str, now: float) -> bool:
        """Tell whether one more retry is within the budget; if it is, it is spent."""
        recent = self._of(model)
        second = recent.at(int(now))
        earned = self._settings.share * recent.requests
        if recent.retries + 1 > earned + self._settings.per_second * WINDOW_SECONDS:
            return False
        second.retries += 1
        return True

    def _of(self, model: str) -> "_Recent":
        recent = self._recent.get(model)
        if recent is None:
            recent = self._recent[model] = _Recent()
        return recent


@dataclass(slots=True)
class _Second:
    number: int
    requests: int = 0
    retries: int = 0


@dataclass(slots=True)
class _Recent:
    seconds: deque[_Second] = field(default_factory=deque)

    @property
    def requests(self) -> int:
        return sum(second.requests for second in self.seconds)

    @property
    def retries(self) -> int:
        return sum(second.retries for second in self.seconds)

    def at(self, number: int) -> _Second:
        """Return the counts of one second, having forgotten what is before the window."""
        while self.seconds and self.seconds[0].number <= number - WINDOW_SECONDS:
            self.seconds.popleft()
        if not self.seconds or self.seconds[-1].number != number:
            self.seconds.append(_Second(number))
        return self.seconds[-1]
