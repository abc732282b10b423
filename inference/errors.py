"""Errors as the OpenAI API shapes them, for gateway and replica alike."""

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

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
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after = retry_after

    def response(self) -> web.Response:
        """Return the error as the OpenAI API shapes it."""
        retry = None if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return error_response(
            self.status,
            str(self),
            kind=self.kind,
            param=self.param,
            code=self.code,
            headers=retry,
        )


def error_shaper(server: str) -> Middleware:
    """Return the middleware that shapes every error of a server; what nobody expected is logged.

    `server` is how it calls itself: "gateway" or "replica".
    """

    @web.middleware
    async def shape(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return error.response()
        except web.HTTPException as error:
            return _refusal(request, error)
        except Exception:
            _log.exception("request failed", path=request.path)
            if request.writer.output_size:
                raise  # an answer has begun; all that is left is to break it off
            message = f"The {server} failed; its log says why."
            return error_response(500, message, kind="server_error", code=f"{server}_error")

    return shape


def _refusal(request: web.Request, error: web.HTTPException) -> web.Response:
    """Say what is wrong with a request that no handler took."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"{request.method} is not possible on {request.path}; use {allowed}."
        return error_response(405, message, headers={"Allow": allowed})
    if isinstance(error, web.HTTPNotFound):
        message = f"There is nothing at {request.path}; completions are under /v1."
        return error_response(404, message)
    return error_response(error.status, error.reason)
