"""Clients that mean no good, over raw sockets: what they get, and that others go on."""

import asyncio
import gzip
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from inference.gateway.api import Surroundings, build_gateway
from inference.gateway.limits import GatewayLimits
from inference.gateway.server import serve
from inference.gateway.settings import GatewaySettings
from inference.gateway.tenancy.key_file import KeyFile, StoredKey, hash_of
from inference.gateway.tenancy.secret import new_secret
from telemetry.clock import SystemClock
from telemetry.publish import Metrics
from telemetry.tracing import open_tracing
from tests.inference.gateway.fake_replica import ask

GET = b"GET /v1/models HTTP/1.1\r\nHost: here\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\n"
LIMITS = GatewayLimits(body_seconds=0.2, max_body_bytes=100_000)


@pytest.fixture
async def port(table) -> AsyncIterator[int]:
    """Of a gateway that waits for headers for 0.3 s only."""
    tracing = open_tracing("gateway", instance="test")
    given = Surroundings(table, Metrics(), tracing, SystemClock())
    app = build_gateway(given, models=["tiny"], settings=GatewaySettings(limits=LIMITS))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with serve(app, listener, drain_seconds=0.1, header_seconds=0.3):
            yield listener.getsockname()[1]
    tracing.close()


async def answer_to(port, head):
    """Send the headers of a request with a body that never comes, and return the answer."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"Content-Length: 100\r\n\r\n{")
        answer = await reader.readuntil(b"\r\n\r\n") + await reader.readuntil(b"}}")
        writer.close()
        return answer


async def told(port, *pieces, pause=0.0):
    """Send pieces and return all that comes back until the gateway hangs up."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param((), id="says nothing"),
        pytest.param((GET,), id="stops amid its headers"),
        pytest.param((GET, *[b"X-A: b\r\n"] * 100), id="sends one header after another"),
        pytest.param(tuple(bytes([byte]) for byte in GET), id="sends byte after byte"),
    ],
)
async def test_whose_headers_do_not_come_is_hung_up_on(port, sent):
    assert await told(port, *sent, pause=0.02) == b""


async def test_who_was_answered_and_says_nothing_more_is_hung_up_on(port):
    assert (await told(port, GET + b"\r\n")).startswith(b"HTTP/1.1 200 OK")


async def test_many_who_dawdle_keep_nobody_from_an_answer(port):
    async with AsyncExitStack() as stack:
        for _ in range(200):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(GET)
        answer = await told(port, GET + b"Connection: close\r\n\r\n")

    assert b'"id": "tiny"' in answer


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(GET + b"X-A: " + b"secret" * 1400 + b"\r\n\r\n", id="long header"),
        pytest.param(GET + b"secret" * 1400 + b": a\r\n\r\n", id="long name"),
        pytest.param(GET + b"X-A: " + b"secret" * 50_000, id="header without an end"),
        pytest.param(b"GET /" + b"secret" * 1400 + b" HTTP/1.1\r\n\r\n", id="long line"),
        pytest.param(GET + b"X-A: secret\r\n" * 129 + b"\r\n", id="many headers"),
        pytest.param(GET + b"Authorization: Bearer \0secret\r\n\r\n", id="a zero in a header"),
        pytest.param(b"\x16\x03\x01\x00\xa5\x01secret\r\n\r\n", id="TLS"),
        pytest.param(b"SECRET / HTTP/1.1\r\n\r\n", id="unknown method"),
        pytest.param(
            POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\nsecret",
            id="two lengths of different kinds",
        ),
        pytest.param(
            POST + b"Content-Length: 6\r\nContent-Length: 5\r\n\r\nsecret", id="two lengths"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\nsecret\r\n", id="no size of a chunk"
        ),
    ],
)
async def test_what_is_no_http_is_refused_without_a_quote_or_a_version(port, sent, caplog):
    head, _, body = (await told(port, sent)).partition(b"\r\n\r\n")

    assert head.split(b"\r\n")[0].endswith(b"400 Bad Request")
    assert b"Server: warmfront" in head
    assert b"aiohttp" not in head
    assert "8190 bytes" in json.loads(body)["error"]["message"]
    assert "secret" not in (body.decode() + caplog.text).lower()


async def test_headers_up_to_the_bound_are_taken(port):
    sent = GET + b"Connection: close\r\nX-A: " + b"a" * 8000 + b"\r\n" + b"X-B: b\r\n" * 100
    assert (await told(port, sent + b"\r\n")).startswith(b"HTTP/1.1 200 OK")


async def test_a_body_that_does_not_come_is_not_waited_for(port):
    answer = await answer_to(port, POST)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"request_timeout"' in answer


async def test_without_a_key_no_body_is_waited_for(start_gateway, tmp_path):
    path = tmp_path / "keys.json"
    with KeyFile(path).editing() as keys:
        now = datetime.now(UTC)
        keys.append(StoredKey(id="k1", name="acme", hash=hash_of(new_secret()), created=now))
    gateway = await start_gateway(key_file=path, body_seconds=60)
    answer = await answer_to(urlsplit(gateway.url).port, POST)

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'WWW-Authenticate: Bearer realm="warmfront"' in answer


@pytest.mark.parametrize("is_packed", [False, True], ids=["as it is", "from 0.1 percent of it"])
async def test_a_body_beyond_the_bound_is_not_read_to_its_end(port, is_packed):
    body = json.dumps(ask(padding=" " * 2 * LIMITS.max_body_bytes)).encode()
    how = b"Connection: close\r\n"
    if is_packed:
        body = gzip.compress(body)
        how += b"Content-Encoding: gzip\r\n"
    answer = await told(port, POST + how + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"request_too_large"' in answer


async def test_a_body_that_is_not_what_its_headers_say_is_told_and_not_logged(port, caplog):
    sent = POST + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
    with caplog.at_level(logging.ERROR, logger="aiohttp.server"):
        answer = await told(port, sent)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"The body cannot be read" in answer
    assert not caplog.records
