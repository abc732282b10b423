"""Compiled engines on disk: building takes minutes, reading one back seconds."""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import structlog

_MAGIC = b"warmfront plan 1\n"
_DIGEST_BYTES = 32

_log = structlog.get_logger(__name__)


def cache_key(*parts: bytes | str) -> str:
    """Return a name that changes with any of the parts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


class PlanCache:
    """A folder of plans; one that is damaged or of another key counts as absent.

    Each file carries a digest of its key and contents, so that a plan cut short by a crash, or
    renamed by hand, is never given to a library that would crash on it.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, key: str) -> bytes | None:
        """Return the plan, if there is a whole one."""
        if self._folder is None:
            return None
        try:
            data = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("compiled engine not read", key=key, error=str(error))
            return None
        head = len(_MAGIC) + _DIGEST_BYTES
        if data[:head] != _MAGIC + _digest(key, data[head:]):
            _log.warning("compiled engine damaged: it is built anew", path=str(self._path(key)))
            return None
        return data[head:]

    def write(self, key: str, plan: bytes) -> None:
        """Keep a plan; a folder that cannot be written costs only the next start's time."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._replace(self._path(key), _MAGIC + _digest(key, plan) + plan)
        except OSError as error:
            _log.warning("compiled engine not kept", folder=str(self._folder), error=str(error))

    def drop(self, key: str) -> None:
        """Forget a plan that the library refused."""
        if self._folder is not None:
            with suppress(OSError):
                self._path(key).unlink(missing_ok=True)

    def _replace(self, path: Path, data: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".plan-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _path(self, key: str) -> Path:
        return (self._folder or Path()) / f"{key}.plan"


def _digest(key: str, plan: bytes) -> bytes:
    digest = hashlib.sha256(key.encode())
    digest.update(plan)
    return digest.digest()
