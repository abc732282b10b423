"""Serving the gateway: from a bound socket to a bounded, graceful end."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def serve(
    app: web.Application, listener: socket.socket, *, drain_seconds: float = 30.0
) -> AsyncIterator[None]:
    """Serve while entered; on leaving, requests in flight may finish first.

    Handlers are cancelled when their client leaves, and that is what frees the replica.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=drain_seconds / 2,  # aiohttp waits so long twice: asking, then insisting
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()
