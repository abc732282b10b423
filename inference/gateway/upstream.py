"""The connections to the replicas: one pool, deadlines, and their faults in our own words."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self

import aiohttp

from inference.gateway.errors import ReplicaLostError, ReplicaRefusedError, ReplicaTimeoutError
from inference.gateway.exchange import Exchange
from inference.gateway.limits import GatewayLimits
from telemetry.process_table import ReplicaRecord

_NOT_SERVING = 503


class Upstream:
    """The pool of connections; open while it is entered."""

    def __init__(self, limits: GatewayLimits) -> None:
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # replicas bound their own queues
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def sent(
        self, exchange: Exchange, record: ReplicaRecord
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the request to one replica; leaving early closes the connection, which cancels."""
        with replica_faults(record.id):
            answer = await self._post(exchange, record)
        try:
            if answer.status == _NOT_SERVING:
                raise ReplicaRefusedError(f"Replica '{record.id}' takes no requests now.")
            yield answer
        finally:
            answer.close()  # back in the pool already where the answer was read to its end

    async def _post(self, exchange: Exchange, record: ReplicaRecord) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("Upstream is used before it was entered")
        ask, limits = exchange.ask, self._limits
        async with asyncio.timeout(limits.idle_seconds if ask.streams else None):
            return await self._session.post(
                record.url + ask.operation.path,
                data=io.BytesIO(ask.payload),  # sent in pieces: images make bodies large
                headers=_headers(exchange),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None if ask.streams else limits.unary_seconds,
                    sock_connect=limits.connect_seconds,
                ),
            )


@contextmanager
def replica_faults(replica: str) -> Iterator[None]:
    """Translate what may go wrong while talking to a replica, and only there."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise ReplicaRefusedError(f"Replica '{replica}' cannot be reached.") from error
    except TimeoutError as error:
        raise ReplicaTimeoutError(
            f"Replica '{replica}' said nothing for too long; send the request again, "
            "or ask for fewer tokens."
        ) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise ReplicaLostError(
            f"Replica '{replica}' was lost before its answer was complete; send the request again."
        ) from error


def _headers(exchange: Exchange) -> dict[str, str]:
    """Only what a replica needs: a client's credentials stay at the gateway."""
    return {
        "Content-Type": "application/json",
        "Accept": "text/event-stream" if exchange.ask.streams else "application/json",
        "Accept-Encoding": "identity",
        "X-Request-ID": exchange.request_id,
        **exchange.trace,
    }
