"""The keyring: from a request's headers to who sent it, while the key file may change."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from inference.gateway.errors import ForbiddenError, UnauthenticatedError
from inference.gateway.tenancy.caller import Caller, Scope
from inference.gateway.tenancy.key_file import KeyFile, KeyFileError, Stamp, StoredKey, digest_in
from inference.gateway.tenancy.meters import Refusal, TenancyMeters
from inference.gateway.tenancy.secret import digest_of, secret_in
from inference.gateway.tenancy.settings import TenancySettings
from telemetry.clock import Clock
from telemetry.publish import Metrics

_HOW = "send `Authorization: Bearer <key>`, or `x-api-key: <key>`"
_MESSAGES = {
    Refusal.MISSING: f"This gateway needs an API key, and none was sent; {_HOW}.",
    Refusal.UNKNOWN: "The API key is not known here; check it, or ask for a new one.",
    Refusal.EXPIRED: "The API key has expired; ask for a new one.",
    Refusal.REVOKED: "The API key has been revoked; ask for a new one.",
}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """One secret that is known, and until when it opens."""

    digest: bytes
    caller: Caller
    expires: float | None = None  # seconds since the epoch
    is_revoked: bool = False

    def refusal(self, now: float) -> Refusal | None:
        if self.is_revoked:
            return Refusal.REVOKED
        if self.expires is not None and now >= self.expires:
            return Refusal.EXPIRED
        return None


class Keyring:
    """Who calls; while the key file names nobody, everybody is `settings.anonymous`.

    `given` are secrets that are in no file, with whom they make of a caller: the admin's.
    They alone do not make a key necessary. Raises KeyFileError where the file is no good.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Clock,
        metrics: Metrics,
        settings: TenancySettings | None = None,
        given: Mapping[str, Caller] | None = None,
    ) -> None:
        self._clock = clock
        self._meters = TenancyMeters(metrics)
        self._settings = settings or TenancySettings()
        self._anonymous = self._settings.anonymous
        self._file = None if path is None else KeyFile(path)
        self._given = [_Known(digest_of(key), one) for key, one in (given or {}).items()]
        self._stamp: Stamp | None = None
        self._fault = ""  # the last one told
        self._known: list[_Known] = []
        self._recent: dict[bytes, _Known] = {}
        self.is_open = True
        self._begin()

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """Return who sends these headers; raise UnauthenticatedError where a key is needed.

        A key that was seen before is found at once, any other by comparing with all. So the
        time tells whether a key opens, which the answer says anyhow, and nothing of how near
        a wrong one came: what is compared and looked up are digests, which nobody can steer.
        """
        secret = secret_in(headers)
        if secret is None:
            return self._without(Refusal.MISSING)
        known = self._find(digest_of(secret))
        if known is None:
            return self._without(Refusal.UNKNOWN)
        refusal = known.refusal(self._clock.now())
        if refusal is not None:
            raise self._refused(refusal)
        return known.caller

    def require(self, caller: Caller, scope: Scope) -> None:
        """Raise ForbiddenError unless the caller's key opens this."""
        if scope not in caller.scopes:
            self._meters.refused(Refusal.SCOPE)
            raise ForbiddenError(
                f"This needs an API key with the scope {scope.value!r}; whoever runs the gateway "
                f"makes one with `warmfront keys create NAME --scope {scope.value}`."
            )

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Take in changes of the key file while entered."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    async def refresh(self) -> None:
        """Take in the key file if it has changed; one that is no good leaves the keys as are."""
        if self._file is None:
            return
        try:
            found = await asyncio.to_thread(_read_changed, self._file, self._stamp)
        except (KeyFileError, OSError) as error:
            self._tell(_worded(error))
            return
        if found is not None:
            self._take(*found)

    def _begin(self) -> None:
        """Read the file for the first time, before anything is served."""
        keys: tuple[StoredKey, ...] = ()
        stamp = None
        if self._file is not None:
            try:
                stamp = self._file.stamp()
                keys = self._file.read()
            except OSError as error:
                raise KeyFileError(_worded(error)) from error
        self._take(keys, stamp)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh_seconds)
            await self.refresh()

    def _take(self, keys: tuple[StoredKey, ...], stamp: Stamp | None) -> None:
        self._known = [*self._given, *(one for key in keys for one in _known(key))]
        self._recent = {}
        self._stamp, self._fault = stamp, ""
        self.is_open = not keys
        _log.info("API keys read", keys=len(keys), is_open=self.is_open)

    def _tell(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            _log.error("the key file was not taken in; the keys are as before", reason=fault)

    def _find(self, digest: bytes) -> _Known | None:
        if (recent := self._recent.get(digest)) is not None:
            return recent
        found = None
        for known in self._known:  # to the end, wherever it is found
            if hmac.compare_digest(known.digest, digest):
                found = known
        if found is not None:
            self._recent[digest] = found
        return found

    def _without(self, reason: Refusal) -> Caller:
        if self.is_open:
            return self._anonymous
        raise self._refused(reason)

    def _refused(self, reason: Refusal) -> UnauthenticatedError:
        self._meters.refused(reason)
        return UnauthenticatedError(_MESSAGES[reason])


def _known(key: StoredKey) -> list[_Known]:
    """Return the secrets of one key: its own, and the one before while both are good."""
    expires = None if key.expires is None else key.expires.timestamp()
    caller = key.caller
    found = [_Known(digest_in(key.hash), caller, expires, key.disabled)]
    if key.previous is not None:
        until = key.previous.expires.timestamp()
        until = until if expires is None else min(until, expires)
        found.append(_Known(digest_in(key.previous.hash), caller, until, key.disabled))
    return found


def _read_changed(
    file: KeyFile, stamp: Stamp | None
) -> tuple[tuple[StoredKey, ...], Stamp | None] | None:
    """Return the keys and their stamp where the file differs; raise where it has gone."""
    now = file.stamp()
    if now == stamp:
        return None
    if now is None:
        # Who loses the file must not thereby open the gateway to everybody.
        raise KeyFileError(f"{file.path} has gone; put it back, or restart the gateway")
    return file.read(), now


def _worded(error: KeyFileError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'the key file'} cannot be read: {error.strerror or error}"
    return str(error)
