"""One client's connection: what is no HTTP is refused here, before there is a request."""

from aiohttp import web

from inference.errors import error_response

SERVER = "warmfront"  # of what it is made is nobody's business
LONGEST_HEADER = 8190  # bytes, of the request line too
MOST_HEADERS = 128
_NO_HTTP = (
    "This is no HTTP/1.1 request, or one of its lines is longer than "
    f"{LONGEST_HEADER} bytes, or it has more than {MOST_HEADERS} headers."
)
_FAILED = "The gateway failed; its log says why."


class Connection(web.RequestHandler):
    """aiohttp's, but for its errors: they quote the request and name versions."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return an error as the API shapes it; raise where an answer has begun."""
        super().handle_error(request, status, exc, message)
        answer = (
            error_response(400, _NO_HTTP)
            if status < 500  # noqa: PLR2004 - the server's own errors
            else error_response(status, _FAILED, kind="server_error", code="gateway_error")
        )
        answer.headers["Server"] = SERVER
        answer.force_close()
        return answer
