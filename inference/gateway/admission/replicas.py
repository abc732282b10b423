"""The replicas as the line sees them: the part of the roster that it needs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from inference.gateway.routing.choice import Capacity, Choice
from inference.gateway.routing.want import Want
from telemetry.process_table import ReplicaRecord


class Replicas(Protocol):
    """Knows who has room, and tells when there is more."""

    @property
    def is_closed(self) -> bool:
        """Whether nobody is to wait any longer."""
        ...

    def choose(self, want: Want) -> Choice | None:
        """Return a replica that is open with room."""
        ...

    def is_served(self, want: Want) -> bool:
        """Tell whether a replica serves that can do what is wanted, be it full."""
        ...

    def capacity(self, model: str, version: str | None = None) -> Capacity:
        """Return what a model's replicas offer, or those of one version."""
        ...

    def sending(self, record: ReplicaRecord, want: Want) -> AbstractContextManager[None]:
        """Count a request as in flight on a replica."""
        ...

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call back whenever there may be room that there was not before."""
        ...
