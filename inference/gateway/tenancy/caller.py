"""The caller: whose request it is, and what its key allows."""

import math
from dataclasses import dataclass, fields
from enum import StrEnum

from inference.gateway.tenancy.priority import Priority

ANONYMOUS = "anonymous"


class Scope(StrEnum):
    """What a key opens."""

    INFERENCE = "inference"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Quota:
    """How much one caller may ask for; None is without bound."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None  # input and output together
    concurrent: int | None = None  # requests in flight at once

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(
                    f"quota {field.name} must be above 0, or none for no bound; got {value}"
                )

    @property
    def is_unbounded(self) -> bool:
        """Whether anything goes."""
        return (
            self.requests_per_minute is None
            and self.tokens_per_minute is None
            and self.concurrent is None
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request; without API keys everybody is the one anonymous caller."""

    tenant: str = ANONYMOUS
    scopes: frozenset[Scope] = frozenset({Scope.INFERENCE})
    highest: Priority = Priority.INTERACTIVE  # more urgent than this it may not ask for
    share: float = 1.0  # of a busy tier, relative to the others
    quota: Quota = Quota()
    key: str = ""  # the key's id, which is no secret; empty without a key
