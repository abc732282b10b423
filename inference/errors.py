"""Errors as the API shapes them that was asked, for gateway and replica alike."""

import json
import math

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

BROKEN_BODY = "The body cannot be read: it is not what the request's headers say."

_log = structlog.get_logger(__name__)


def error_response(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Build an error answer as the OpenAI API shapes it."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return web.json_response(body, status=status, headers=headers)


class ApiError(Exception):
    """A request that is answered with an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after = retry_after

    def fields(self) -> dict[str, str | None]:
        """Return what the OpenAI API says of an error."""
        return {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}

    def response(self) -> web.Response:
        """Return the error as the OpenAI API shapes it."""
        return error_response(
            self.status,
            str(self),
            kind=self.kind,
            param=self.param,
            code=self.code,
            headers=None if self.retry_after is None else retry_headers(self.retry_after),
        )


def retry_headers(seconds: float) -> dict[str, str]:
    """Say when to come back: in whole seconds, as HTTP has it, and in OpenAI's milliseconds."""
    return {
        "Retry-After": str(math.ceil(seconds)),
        "retry-after-ms": str(math.ceil(seconds * 1000)),
    }


def error_shaper(server: str) -> Middleware:
    """Return the middleware that shapes every error of a server; what nobody expected is logged.

    `server` is how it calls itself: "gateway" or "replica".
    """

    @web.middleware
    async def shape(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return _as_asked(request, error.response())
        except web.HTTPException as error:
            return _as_asked(request, _refusal(request, error))
        except web.RequestPayloadError:
            return _as_asked(request, error_response(400, BROKEN_BODY))
        except Exception:
            _log.exception("request failed", path=request.path)
            if request.writer.output_size:
                raise  # an answer has begun; all that is left is to break it off
            message = f"The {server} failed; its log says why."
            answer = error_response(500, message, kind="server_error", code=f"{server}_error")
            return _as_asked(request, answer)

    return shape


def _as_asked(request: web.Request, answer: web.Response) -> web.Response:
    """Reshape an error for the Open Inference Protocol, where it was spoken: one sentence."""
    if request.path.startswith("/v2/models/"):
        answer.text = json.dumps({"error": json.loads(answer.text or "")["error"]["message"]})
    return answer


def _refusal(request: web.Request, error: web.HTTPException) -> web.Response:
    """Say what is wrong with a request that no handler took."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"{request.method} is not possible on {request.path}; use {allowed}."
        return error_response(405, message, headers={"Allow": allowed})
    if isinstance(error, web.HTTPNotFound):
        message = f"There is nothing at {request.path}; completions are under /v1."
        return error_response(404, message)
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        message = f"The body is larger than the {request.client_max_size} bytes that are read."
        return error_response(413, message, code="request_too_large")
    return error_response(error.status, f"{error.reason}.")
