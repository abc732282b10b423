"""What the gateway answers when it cannot pass a request on, or an answer back.

GatewayError
├── BadRequestError 400        the body makes no request
│   ├── UnauthenticatedError 401  no key, or one that is not known
│   ├── ForbiddenError 403     the key does not open this
│   ├── UnknownModelError 404
│   ├── SlowBodyError 408      the client did not finish its request in time
│   └── LargeBodyError 413
├── RateLimitedError 429       this caller asks for more than its key allows
├── OverloadedError 429        the tier is full: the request would wait too long
├── ReplicaLostError 502     the replica vanished, or its answer broke off
├── NoReplicaError 503       nothing serves, and waiting did not help
│   └── ReplicaRefusedError  one replica did not take the request: another may
└── ReplicaTimeoutError 504
"""

from typing import ClassVar

from aiohttp import web

from inference.errors import ApiError
from inference.gateway.timeline import Outcome


class GatewayError(ApiError):
    """A request ends with an error that the gateway itself words."""

    outcome: ClassVar[Outcome] = Outcome.GATEWAY_ERROR
    status = 500
    kind = "server_error"
    code: str | None = None

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(
            self.status,
            message,
            kind=self.kind,
            param=param,
            code=self.code,
            retry_after=retry_after,
        )

    def event(self) -> bytes:
        """Return the error as one event of a stream."""
        body = self.response().body
        assert isinstance(body, bytes)  # noqa: S101 - error_response is JSON in memory
        return b"data: " + body + b"\n\n"


class BadRequestError(GatewayError):
    """The body of a request cannot be passed on."""

    status = 400
    outcome = Outcome.REJECTED
    kind = "invalid_request_error"


class UnknownModelError(BadRequestError):
    """No such model is configured, and no replica has ever served it."""

    status = 404
    code = "model_not_found"


class SlowBodyError(BadRequestError):
    """The client took too long to send its request."""

    status = 408
    code = "request_timeout"


class LargeBodyError(BadRequestError):
    """The request is larger than the gateway takes."""

    status = 413
    code = "request_too_large"


class UnauthenticatedError(BadRequestError):
    """The request carries no API key, or one that is not known."""

    status = 401
    code = "invalid_api_key"

    def response(self) -> web.Response:
        """Return the error with what HTTP asks of a 401: how to authenticate."""
        response = super().response()
        response.headers["WWW-Authenticate"] = 'Bearer realm="warmfront"'
        return response


class ForbiddenError(BadRequestError):
    """The request's API key does not open what it asks for."""

    status = 403
    code = "insufficient_scope"


class RateLimitedError(GatewayError):
    """The caller asks for more than its key allows; others are still served."""

    status = 429
    outcome = Outcome.RATE_LIMITED
    kind = "rate_limit_error"
    code = "rate_limit_exceeded"


class OverloadedError(GatewayError):
    """The tier is full: the request would wait for longer than its class may."""

    status = 429
    outcome = Outcome.OVERLOADED
    kind = "rate_limit_error"
    code = "overloaded"


class ReplicaLostError(GatewayError):
    """A replica vanished after it may have begun to work."""

    status = 502
    outcome = Outcome.REPLICA_LOST
    code = "replica_lost"


class NoReplicaError(GatewayError):
    """No replica serves the model."""

    status = 503
    outcome = Outcome.NO_REPLICA
    code = "no_replica"


class ReplicaRefusedError(NoReplicaError):
    """A replica did not take the request: no connection, or it is not serving."""


class ReplicaTimeoutError(GatewayError):
    """A replica said nothing for too long."""

    status = 504
    outcome = Outcome.TIMEOUT
    code = "replica_timeout"
