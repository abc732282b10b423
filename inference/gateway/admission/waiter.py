"""The waiter: the part of a request under way that the line needs."""

from typing import Protocol

from inference.gateway.tenancy.caller import Caller
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Timeline


class Waiter(Protocol):
    """Whose request it is, how urgent, and where its moments are noted."""

    @property
    def caller(self) -> Caller:
        """Whose request it is."""
        ...

    @property
    def priority(self) -> Priority:
        """How urgent it is."""
        ...

    @property
    def timeline(self) -> Timeline:
        """Where its moments are noted."""
        ...

    @property
    def is_retried(self) -> bool:
        """Whether it was admitted before, and its replica failed it."""
        ...
