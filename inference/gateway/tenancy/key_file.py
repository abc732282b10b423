"""The key file: who may call, as JSON; of the keys themselves it holds only hashes."""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import structlog
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from inference.gateway.tenancy.caller import Caller, Quota, Scope
from inference.gateway.tenancy.priority import Priority
from inference.gateway.tenancy.secret import digest_of

_HASH = "sha256:"
_OWNER_ONLY = 0o600
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MAX_BYTES = 16 * 1024**2  # 30,000 keys
_log = structlog.get_logger(__name__)

_Hash = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
_Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:@-]{1,64}$")]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Stamp = tuple[int, int, int]  # differs whenever the file was written


class KeyFileError(Exception):
    """The key file cannot be read or trusted; the text says why, and never what is in it."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Previous(_Entry):
    """The secret that a key had before it was rotated, good for a while."""

    hash: _Hash
    expires: AwareDatetime


class StoredKey(_Entry):
    """One key as the file has it."""

    id: _Label
    name: _Label  # of the tenant; several keys may be one tenant's
    hash: _Hash
    scopes: frozenset[Scope] = Field(frozenset({Scope.INFERENCE}), min_length=1)
    priority: Priority = Priority.INTERACTIVE  # the highest
    share: _Positive = 1.0
    requests_per_minute: _Positive | None = None
    tokens_per_minute: _Positive | None = None
    concurrent: int | None = Field(None, gt=0)
    created: AwareDatetime
    expires: AwareDatetime | None = None
    disabled: bool = False
    previous: Previous | None = None

    @property
    def caller(self) -> Caller:
        """Whoever holds the key."""
        return Caller(
            tenant=self.name,
            scopes=self.scopes,
            highest=self.priority,
            share=self.share,
            quota=Quota(self.requests_per_minute, self.tokens_per_minute, self.concurrent),
            key=self.id,
        )


class _Keys(_Entry):
    version: Literal[1] = 1
    keys: tuple[StoredKey, ...] = ()


def hash_of(secret: str) -> str:
    """Return a key's hash as the file has it."""
    return _HASH + digest_of(secret).hex()


def digest_in(stored_hash: str) -> bytes:
    """Return the digest that the file wrote as text."""
    return bytes.fromhex(stored_hash.removeprefix(_HASH))


def parse_keys(text: bytes) -> tuple[StoredKey, ...]:
    """Read the file's text; raise KeyFileError with the first fault."""
    try:
        keys = _Keys.model_validate_json(text).keys
    except ValidationError as error:
        raise KeyFileError(_first_fault(error)) from None  # its chain would show the content
    for what, values in (
        ("id", [key.id for key in keys]),
        ("hash", [key.hash for key in keys]),
    ):
        if len(set(values)) < len(values):
            raise KeyFileError(f"two keys have the same {what}")
    return keys


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(map(str, fault["loc"]))
    return f"{where}: {fault['msg']}" if where else fault["msg"]


class KeyFile:
    """The key file of one gateway; several commands may change it at once.

    `warn` is told what is unwise but works.
    """

    def __init__(self, path: Path, *, warn: Callable[[str], None] | None = None) -> None:
        self.path = path
        self._warn = warn or _warn
        self._is_told = False

    def stamp(self) -> Stamp | None:
        """Return what changes with the file; None where there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def read(self) -> tuple[StoredKey, ...]:
        """Return the keys, none where there is no file; raise KeyFileError or OSError."""
        try:
            with self.path.open("rb") as file:
                self._check(os.fstat(file.fileno()))
                text = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return ()
        if len(text) > _MAX_BYTES:
            raise KeyFileError(f"{self.path} is larger than {_MAX_BYTES} bytes")
        try:
            return parse_keys(text)
        except KeyFileError as error:
            raise KeyFileError(f"{self.path} is no key file: {error}") from None

    @contextmanager
    def editing(self) -> Iterator[list[StoredKey]]:
        """Yield the keys to be changed, and write them as a whole unless an error is raised."""
        with self._locked():
            keys = list(self.read())
            yield keys
            self._write(_Keys(keys=tuple(keys)).model_dump_json(indent=2) + "\n")

    def _check(self, status: os.stat_result) -> None:
        """Refuse what others could add a key to; hashes that others can read only get a word."""
        mode = stat.S_IMODE(status.st_mode)
        if mode & _WRITABLE_BY_OTHERS:
            raise KeyFileError(
                f"others than its owner can write to {self.path} (mode {mode:04o}), and so give "
                f"themselves a key; run: chmod 600 {self.path}"
            )
        if mode & stat.S_IROTH and not self._is_told:
            self._is_told = True
            self._warn(f"everybody on this machine can read the hashes in {self.path}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(self.path.name + ".lock")
        with _opened(lock, os.O_RDWR | os.O_CREAT) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def _write(self, text: str) -> None:
        target = self.path.resolve()  # where it is a link, the link stays
        draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
        try:
            with _opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
                self._keep_readers(descriptor, target)
                _write_all(descriptor, text.encode())
                os.fsync(descriptor)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        with _opened(target.parent, os.O_RDONLY | os.O_DIRECTORY) as folder:
            os.fsync(folder)

    def _keep_readers(self, descriptor: int, target: Path) -> None:
        """Let who could read the old file read the new one: the gateway may be another user."""
        try:
            before = target.stat()
        except FileNotFoundError:
            return
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            try:
                os.fchown(descriptor, before.st_uid, before.st_gid)
            except PermissionError:
                self._warn(f"{target} is yours now; its owner before could not be kept")
        os.fchmod(descriptor, _OWNER_ONLY | (stat.S_IMODE(before.st_mode) & stat.S_IRGRP))


def _warn(text: str) -> None:
    _log.warning(text)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, _OWNER_ONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
