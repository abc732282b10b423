"""The gateway over TLS, with certificates as `openssl` makes them."""

import asyncio
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import openai
import pytest

from inference.gateway.api import Surroundings, build_gateway
from inference.gateway.server import serve
from inference.gateway.tls import TlsError, tls_context
from telemetry.clock import SystemClock
from telemetry.publish import Metrics
from telemetry.tracing import open_tracing

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl to make certificates")

# Whoever signs with dates of their own needs a register of certificates.
REGISTER = """
[ca]
default_ca = register
[register]
database = {0}/index
new_certs_dir = {0}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = anything
[anything]
commonName = supplied
"""
GREETING, RECORD = 0x01, 0x16  # of TLS


def openssl(*words: object) -> None:
    subprocess.run([str(OPENSSL), *map(str, words)], check=True, capture_output=True)


def make_key(path: Path, *options: str) -> Path:
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path,
            *options)  # fmt: skip
    return path


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return make_key(tmp_path_factory.mktemp("tls") / "key.pem")


@pytest.fixture(scope="module")
def certificate(key):
    """A certificate of 127.0.0.1, signed by its own key."""
    path = key.with_name("certificate.pem")
    openssl("req", "-x509", "-key", key, "-out", path, "-days", "2", "-subj", "/CN=here",
            "-addext", "subjectAltName=IP:127.0.0.1")  # fmt: skip
    return path


@pytest.fixture
def dated(key, tmp_path):
    """Makes a certificate that is good between two dates."""
    register, request, path = (tmp_path / name for name in ("ca.conf", "request", "dated.pem"))
    register.write_text(REGISTER.format(tmp_path))
    (tmp_path / "index").touch()
    openssl("req", "-new", "-key", key, "-out", request, "-subj", "/CN=here")

    def make(begin, end):
        openssl("ca", "-batch", "-config", register, "-selfsign", "-keyfile", key, "-in", request,
                "-out", path, "-startdate", begin, "-enddate", end)  # fmt: skip
        return path

    return make


@asynccontextmanager
async def secured(table, context, **options) -> AsyncIterator[int]:
    tracing = open_tracing("gateway", instance="test")
    app = build_gateway(Surroundings(table, Metrics(), tracing, SystemClock()), models=["tiny"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with serve(app, listener, drain_seconds=0.1, tls=context, **options):
            yield listener.getsockname()[1]
    tracing.close()


def trusting(certificate):
    return ssl.create_default_context(cafile=certificate)


async def test_a_client_that_trusts_the_certificate_gets_its_stream(
    table, start_replica, certificate, key
):
    await start_replica()
    async with secured(table, tls_context(certificate, key)) as port:
        http = openai.DefaultAsyncHttpxClient(verify=trusting(certificate))
        async with openai.AsyncOpenAI(
            base_url=f"https://127.0.0.1:{port}/v1", api_key="none", http_client=http
        ) as client:
            stream = await client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "hi"}], stream=True
            )
            async with stream:
                texts = [chunk.choices[0].delta.content async for chunk in stream]

    assert "".join(texts) == "Warm fr\u00f6nt"


async def test_a_client_that_does_not_know_the_certificate_says_nothing(table, certificate, key):
    async with (
        secured(table, tls_context(certificate, key)) as port,
        aiohttp.ClientSession() as http,
    ):
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(f"https://127.0.0.1:{port}/health")


async def test_without_tls_nothing_is_answered(table, certificate, key):
    async with secured(table, tls_context(certificate, key)) as port:
        answer = await told(port, b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")

    assert not answer.startswith(b"HTTP")


@pytest.mark.parametrize(
    ("version", "is_taken"),
    [
        pytest.param("0302", False, id="1.1"),
        pytest.param("0303", True, id="1.2"),
    ],
)
async def test_what_is_older_than_tls_1_2_is_refused(table, certificate, key, version, is_taken):
    async with secured(table, tls_context(certificate, key), header_seconds=0.2) as port:
        answer = await told(port, hello(version))

    assert answer.startswith(bytes([RECORD])) is is_taken


async def test_who_does_not_finish_shaking_hands_is_hung_up_on(table, certificate, key):
    async with secured(table, tls_context(certificate, key), header_seconds=0.2) as port:
        assert await told(port, hello("0303")[:20]) == b""


async def test_who_shakes_hands_and_says_nothing_is_hung_up_on(table, certificate, key):
    async with secured(table, tls_context(certificate, key), header_seconds=0.2) as port:
        answer = await told(port, b"GET /health HTTP/1.1\r\n", tls=trusting(certificate))

    assert answer == b""


def hello(version):
    """A client's first words: what it can do is the same whatever its version."""
    suites = "0004 c02b c009"  # AES in GCM, from 1.2 on, and in CBC
    extensions = "0016  000a 0004 0002 0017  000b 0002 0100  000d 0004 0002 0403"
    body = bytes.fromhex(f"{version} {'00' * 32} 00 {suites} 0100 {extensions}")
    greeting = bytes([GREETING]) + len(body).to_bytes(3) + body
    return bytes([RECORD, 3, 1]) + len(greeting).to_bytes(2) + greeting


async def told(port, words, *, tls=None):
    """Say something and return all that comes back until the gateway hangs up."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        try:
            writer.write(words)
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


def test_what_cannot_be_read_is_named(certificate, key, tmp_path):
    missing = tmp_path / "missing.pem"
    with pytest.raises(TlsError, match=rf"certificate {re.escape(str(missing))} .* No such file"):
        tls_context(missing, key)
    with pytest.raises(TlsError, match=rf"private key {re.escape(str(tmp_path))} .* directory"):
        tls_context(certificate, tmp_path)


def test_the_key_of_another_certificate_is_told_apart(certificate, tmp_path):
    with pytest.raises(TlsError, match="does not belong to the certificate"):
        tls_context(certificate, make_key(tmp_path / "other.pem"))


def test_nobody_is_asked_for_a_password(certificate, tmp_path):
    locked = make_key(tmp_path / "locked.pem", "-aes256", "-pass", "pass:secret")
    with pytest.raises(TlsError, match="is encrypted; decrypt it with `openssl pkey -in locked"):
        tls_context(certificate, locked)


def test_what_is_not_pem_is_told(certificate, key, tmp_path):
    der = tmp_path / "certificate.der"
    openssl("x509", "-in", certificate, "-outform", "DER", "-out", der)
    with pytest.raises(TlsError, match="not in PEM format"):
        tls_context(der, key)
    with pytest.raises(TlsError, match="not in PEM format"):
        tls_context(certificate, der)
    empty = tmp_path / "empty.pem"
    empty.touch()
    with pytest.raises(TlsError, match="not in PEM format"):
        tls_context(empty, key)


def test_a_certificate_that_no_client_would_take_is_refused(dated, key):
    with pytest.raises(TlsError, match="has expired; renew it"):
        tls_context(dated("200101000000Z", "200102000000Z"), key)
    with pytest.raises(TlsError, match="is not valid yet; check this machine's clock"):
        tls_context(dated("20990101000000Z", "20990102000000Z"), key)
    assert tls_context(dated("200101000000Z", "20990102000000Z"), key)
