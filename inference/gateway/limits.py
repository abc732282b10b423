"""The limits of the gateway's own connections: bounds and deadlines, in one value."""

from dataclasses import dataclass, fields

from inference.api import MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Bounds and deadlines towards clients and replicas; seconds unless the name says more."""

    max_body_bytes: int = MAX_BODY_BYTES
    body_seconds: float = 30.0  # for the client to send its request
    client_seconds: float = 60.0  # for a client to take what is written to it
    keepalive_seconds: float = 10.0  # a stream is not silent for much longer
    connect_seconds: float = 2.0
    idle_seconds: float = 120.0  # between two pieces of a stream
    unary_seconds: float = 600.0  # for an answer in one piece
    max_tries: int = 8  # replicas asked per request, whether or not they took it
    max_losses: int = 2  # of them, replicas lost when they may have begun to work

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0 or (value == 0 and field.name != "max_losses"):
                raise ValueError(
                    f"gateway limit {field.name} must be above 0, got {value}; "
                    f"its default is {field.default}"
                )
