"""The connections to the replicas: one pool, deadlines, and their faults in our own words."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from inference.gateway.client import TIMINGS_HEADER
from inference.gateway.errors import ReplicaLostError, ReplicaRefusedError, ReplicaTimeoutError
from inference.gateway.exchange import Exchange
from inference.gateway.limits import GatewayLimits
from telemetry.process_table import ReplicaRecord

_NOT_SERVING = 503
_ONE_PIECE_BYTES = 2**18


class Upstream:
    """The pool of connections; open while it is entered."""

    def __init__(self, limits: GatewayLimits) -> None:
        self._limits = limits
        connect = limits.connect_seconds
        self._stream_timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=connect, sock_read=limits.idle_seconds
        )
        self._unary_timeout = aiohttp.ClientTimeout(
            total=limits.unary_seconds, sock_connect=connect
        )
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # replicas bound their own queues
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # nothing is sent compressed, for it is asked not to be
            skip_auto_headers=("User-Agent",),
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

    async def post(self, exchange: Exchange, record: ReplicaRecord) -> aiohttp.ClientResponse:
        """Send the request to one replica; closing the answer early cancels it there."""
        with replica_faults(record.id):
            answer = await self._post(exchange, record)
        if answer.status == _NOT_SERVING:
            answer.close()
            raise ReplicaRefusedError(f"Replica '{record.id}' takes no requests now.")
        return answer

    async def _post(self, exchange: Exchange, record: ReplicaRecord) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("Upstream is used before it was entered")
        ask = exchange.ask
        return await self._session.post(
            _url(record.host, record.port, ask.operation.path),
            data=_body(ask.payload_with(exchange.priority)),
            headers=_headers(exchange),
            allow_redirects=False,
            timeout=self._stream_timeout if ask.streams else self._unary_timeout,
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


@lru_cache(maxsize=4096)
def _url(host: str, port: int, path: str) -> URL:
    return URL.build(scheme="http", host=host, port=port, path=path)


def _body(payload: bytes) -> bytes | io.BytesIO:
    """Have a large body sent in pieces: images make them so."""
    return payload if len(payload) <= _ONE_PIECE_BYTES else io.BytesIO(payload)


def _headers(exchange: Exchange) -> dict[str, str]:
    """Only what a replica needs: a client's credentials stay at the gateway."""
    return {
        "Content-Type": "application/json",
        "Accept": "text/event-stream" if exchange.ask.streams else "application/json",
        "Accept-Encoding": "identity",
        "X-Request-ID": exchange.request_id,
        TIMINGS_HEADER: "1",
        **exchange.trace,
    }
