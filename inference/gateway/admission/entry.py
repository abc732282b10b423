"""An entry: one request in line."""

from dataclasses import dataclass, field
from typing import NamedTuple

from inference.gateway.routing.want import Want
from inference.gateway.tenancy.priority import Priority


class Lane(NamedTuple):
    """Requests that the same replicas can serve."""

    version: str | None
    has_images: bool


@dataclass(slots=True, eq=False)
class Entry:
    """A request that waits for a replica, and what its place in line goes by."""

    want: Want
    priority: Priority
    tenant: str
    share: float
    work: float  # input-token equivalents
    arrived: float  # when it first came to the line: its seniority
    joined: float  # when this wait began
    is_returning: bool = False  # a replica failed it; it was admitted before
    held_before: float = 0.0  # seconds in line before it was sent to that replica
    number: int = 0  # in order of joining
    start: float = 0.0  # where its share of the work begins, on the clock of its class
    finish: float = 0.0
    absent_before: float = 0.0  # seconds that its lane was not served, when it joined
    predicted: float | None = None  # seconds, before calibration
    is_waiting: bool = False  # in line at this moment
    overtaken: int = 0  # by requests behind it that needed fewer slots
    lane: Lane = field(init=False)  # what narrows the replicas that can serve it

    def __post_init__(self) -> None:
        self.lane = Lane(self.want.version, self.want.has_images)

    @property
    def tokens(self) -> int:
        """Tokens that it is expected to take, over all choices."""
        return self.want.input_tokens + self.want.output_tokens * self.want.choices

    @property
    def key(self) -> tuple[float, float, int]:
        """Its place within its class."""
        return self.start, self.arrived, self.number
