"""What can go wrong for one of several who share an answer.

GatewayError
├── BadRequestError
│   └── KeyReusedError 422  an idempotency key that stands for another request
└── LaggedError 408         one reads so slowly that what it has not read is gone
"""

from inference.gateway.errors import BadRequestError, GatewayError
from inference.gateway.timeline import Outcome


class KeyReusedError(BadRequestError):
    """One idempotency key was sent with two requests that differ."""

    status = 422
    code = "idempotency_key_reused"


class LaggedError(GatewayError):
    """A client takes its answer far more slowly than others who share it."""

    status = 408
    outcome = Outcome.DISCONNECTED
    kind = "invalid_request_error"
    code = "client_too_slow"
