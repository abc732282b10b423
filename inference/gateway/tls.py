"""TLS of the gateway: from certificate and key files to a context, or to what is wrong there."""

import ssl
from contextlib import suppress
from pathlib import Path

_NOT_YET_VALID, _EXPIRED = 9, 10  # of OpenSSL's X509_V_ERR codes
_MOST_FLIGHTS = 4  # of a handshake: TLS 1.3 takes two


class TlsError(Exception):
    """The certificate or its key cannot be used; the text says which and why."""


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context to serve with, TLS 1.2 or newer; `certificate` may be a chain.

    An expired certificate is refused here, before clients refuse it one by one.
    """
    for what, path in (("certificate", certificate), ("private key", key)):
        _check_readable(what, path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except _EncryptedKeyError:
        raise TlsError(
            f"the private key {key} is encrypted; decrypt it with `openssl pkey -in {key.name}`, "
            "into a file that only the gateway can read"
        ) from None
    except ssl.SSLError as error:
        raise TlsError(_worded(error, certificate, key)) from error
    _check_dates(certificate, context)
    return context


class _EncryptedKeyError(Exception):
    """Nobody is there to be asked for a password."""


def _refuse_password() -> str:
    raise _EncryptedKeyError


def _check_readable(what: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise TlsError(f"the {what} {path} cannot be read: {error.strerror or error}") from error


def _worded(error: ssl.SSLError, certificate: Path, key: Path) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the private key {key} does not belong to the certificate {certificate}"
    if error.reason in {"NO_START_LINE", "PEM_LIB"} or error.reason is None:
        return (
            f"the certificate {certificate} or the private key {key} is not in PEM format, "
            "the one that begins with -----BEGIN"
        )
    return f"the certificate {certificate} with the private key {key} cannot be used: {error}"


def _check_dates(certificate: Path, context: ssl.SSLContext) -> None:
    """Refuse a certificate that no client would take today: one shakes hands with it here."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(certificate)
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # its issuer need not be known
    trusting.check_hostname = False
    try:
        _shake_hands(trusting, context)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            raise TlsError(f"the certificate {certificate} has expired; renew it") from None
        if error.verify_code == _NOT_YET_VALID:
            raise TlsError(
                f"the certificate {certificate} is not valid yet; check this machine's clock"
            ) from None
    except ssl.SSLError as error:
        raise TlsError(f"no client can connect with {certificate}: {error}") from error


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(_MOST_FLIGHTS):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
