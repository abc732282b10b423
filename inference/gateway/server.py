"""Serving the gateway: from a bound socket to a bounded, graceful end."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from inference.gateway.connection import LONGEST_HEADER, MOST_HEADERS, SERVER, Connection
from inference.gateway.drain import Drain

DRAIN = web.AppKey("drain", Drain)
_CUT_SECONDS = 0.2  # for handlers to end that were cancelled
_BACKLOG = 128  # connections that the system holds until they are taken


@asynccontextmanager
async def serve(
    app: web.Application,
    listener: socket.socket,
    *,
    drain_seconds: float = 30.0,
    delay_seconds: float = 0.0,
    tls: SSLContext | None = None,
    header_seconds: float = 75.0,
) -> AsyncIterator[None]:
    """Serve while entered; on leaving, readiness goes first, and requests in flight may finish.

    `delay_seconds` is for load balancers to see that it is ready no longer. Handlers are
    cancelled when their client leaves, and that is what frees the replica. A connection is
    closed if within `header_seconds` of its begin, or of the last answer, no headers are whole.
    """
    app.on_response_prepare.append(_hide_versions)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_CUT_SECONDS)
    await runner.setup()
    try:
        server = await _listen(runner, listener, tls=tls, header_seconds=header_seconds)
        try:
            yield
        finally:
            await _see_out(app[DRAIN], server, delay=delay_seconds, bound=drain_seconds)
    finally:
        await runner.cleanup()


async def _listen(
    runner: web.AppRunner,
    listener: socket.socket,
    *,
    tls: SSLContext | None,
    header_seconds: float,
) -> asyncio.Server:
    made = runner.server
    assert made is not None  # noqa: S101 - the runner is set up
    options: dict[str, Any] = {
        "access_log": None,
        "keepalive_timeout": header_seconds,
        "max_line_size": LONGEST_HEADER,
        "max_field_size": LONGEST_HEADER,
        "max_headers": MOST_HEADERS,
        "logger": _logger(),
    }
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: Connection(made, loop=loop, **options),
        sock=listener,
        ssl=tls,
        ssl_handshake_timeout=None if tls is None else header_seconds,
        backlog=_BACKLOG,
    )


async def _see_out(drain: Drain, server: asyncio.Server, *, delay: float, bound: float) -> None:
    drain.begin()
    await asyncio.sleep(delay)
    server.close()
    await drain.finish(seconds=bound)


async def _hide_versions(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER


def _logger() -> logging.Logger:
    """Return aiohttp's logger without what clients got wrong: it is quoted, and may hold a key."""
    logger = logging.getLogger("aiohttp.server")
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    wrong = (HttpProcessingError, web.RequestPayloadError)
    return not (record.exc_info and isinstance(record.exc_info[1], wrong))
