"""The seat: one request's place at an answer, whoever computes it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from opentelemetry.trace import SpanContext

from inference.gateway.outlet import Outlet

Upstream = Callable[[Outlet], Awaitable[None]]  # has a replica answer into the outlet


class Source(StrEnum):
    """Where an answer comes from; the value is the `source` label."""

    OWN = "own"  # computed for this request, though others may share it
    FLIGHT = "flight"  # being computed for another
    CACHE = "cache"


@dataclass(frozen=True, slots=True)
class Leader:
    """The request that an answer is computed for, as others refer to it."""

    request_id: str
    span: SpanContext | None = None


class Seat(Protocol):
    """Hands one request its answer."""

    @property
    def source(self) -> Source:
        """Where the answer comes from."""
        ...

    @property
    def leader(self) -> Leader | None:
        """The request that this one follows, if it does."""
        ...

    async def deliver(self, outlet: Outlet) -> None:
        """Hand the outlet the answer, or the error that came of it; returns when it has all."""
        ...
