"""Priority: the three classes of requests, in the order in which they are served."""

from enum import StrEnum


class Priority(StrEnum):
    """How urgent a request is; the value is the `priority` label."""

    INTERACTIVE = "interactive"  # somebody looks at the screen
    STANDARD = "standard"
    BATCH = "batch"  # nobody waits

    @property
    def rank(self) -> int:
        """Place in the order of service; lower is served earlier."""
        return _RANKS[self]


_RANKS = {priority: rank for rank, priority in enumerate(Priority)}
