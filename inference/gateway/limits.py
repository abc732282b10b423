"""The limits within which the gateway works: every bound and deadline, in one value."""

from dataclasses import dataclass, fields

from inference.api import MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Bounds and deadlines of the gateway; seconds unless the name says otherwise."""

    ttft_objective_seconds: float = 1.0
    hold_seconds: float = 30.0  # one request's whole wait for a replica
    max_held: int = 256  # places to wait, per model
    retry_after_seconds: float = 5.0
    max_body_bytes: int = MAX_BODY_BYTES
    body_seconds: float = 30.0  # for the client to send its request
    connect_seconds: float = 2.0
    idle_seconds: float = 120.0  # between two pieces of a stream
    client_seconds: float = 60.0  # for a client to take what is written to it
    unary_seconds: float = 600.0  # for an answer in one piece
    max_tries: int = 8  # replicas asked per request, whether or not they took it
    max_losses: int = 2  # of them, replicas lost when they may have begun to work
    shun_seconds: float = 0.5  # first pass-over of a replica that failed; doubles each time
    refresh_seconds: float = 0.1  # between two readings of the process table

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            floor = 0 if field.name in _MAY_BE_ZERO else None
            if value < 0 or (value == 0 and floor is None):
                raise ValueError(
                    f"gateway limit {field.name} must be above 0, got {value}; "
                    f"its default is {field.default}"
                )


_MAY_BE_ZERO = frozenset({"hold_seconds", "max_held", "max_losses", "shun_seconds"})
