"""Listening: sockets are bound before anything starts, so a taken port stops nothing half-way."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from warmfront.errors import StackError


def listen(host: str, port: int, *, name: str) -> socket.socket:
    """Bind the socket of one server; raise StackError saying which port, and what to do."""
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        raise StackError(_why_not(error, host, port, name)) from error


def url_of(listener: socket.socket) -> str:
    """Return the base URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


@asynccontextmanager
async def serving_pages(app: web.Application, listener: socket.socket) -> AsyncIterator[None]:
    """Serve pages that are only read, while entered; nobody's work is lost when they end."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()


def _why_not(error: OSError, host: str, port: int, name: str) -> str:
    if error.errno == errno.EADDRINUSE:
        why = f"port {port} on {host} is taken"
    else:
        why = f"cannot listen on {host}:{port} ({error.strerror or error})"
    return (
        f"the {name} cannot start: {why}; stop what listens there, or choose another with "
        f"--{name}-port or [addresses] {name} = … in the settings"
    )
