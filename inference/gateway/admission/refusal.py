"""A refusal: why a request leaves the line without a replica, and how it is told."""

from dataclasses import dataclass

from inference.gateway.admission.decision import TurnedAway
from inference.gateway.errors import GatewayError, NoReplicaError, OverloadedError
from inference.gateway.tenancy.priority import Priority


@dataclass(frozen=True, slots=True)
class Refusal:
    """What becomes of one request, and when it had better come back."""

    model: str
    priority: Priority
    reason: TurnedAway | None  # None: no replica serves
    retry_after: float
    limit: float  # seconds: its budget, or for how long it was held
    wait: float | None = None  # predicted for it

    def error(self) -> GatewayError:
        """Return the error that the client gets."""
        if self.reason is None:
            return NoReplicaError(self._text(), retry_after=self.retry_after)
        return OverloadedError(self._text(), retry_after=self.retry_after)

    def _text(self) -> str:
        return f"{self._what()}; retry in {self.retry_after:.3g} s."

    def _what(self) -> str:
        who = f"priority '{self.priority}'"
        match self.reason:
            case None:
                return f"No replica of model '{self.model}' became ready within {self.limit:g} s"
            case TurnedAway.PREDICTED_WAIT:
                return (
                    f"Model '{self.model}' is busy: a request of {who} would wait for about "
                    f"{self.wait or 0.0:.2g} s, and has {self.limit:g} s to its first token"
                )
            case TurnedAway.QUEUE_FULL:
                return f"The line for model '{self.model}' is full of requests that go before it"
            case TurnedAway.SHED:
                return (
                    f"The line for model '{self.model}' is full, and a request that goes before "
                    f"this one of {who} took its place"
                )
            case TurnedAway.EXPIRED:
                return (
                    f"Model '{self.model}' is busy: this request of {who} waited for far longer "
                    f"than the {self.limit:g} s that it has to its first token"
                )


def closing() -> GatewayError:
    """Return what those are told who wait when the gateway shuts down."""
    return NoReplicaError("The gateway is shutting down; send the request again.")
