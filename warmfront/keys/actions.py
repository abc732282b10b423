"""What `warmfront keys` does to the key file, and what it says of it."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from inference.gateway.tenancy.caller import Scope
from inference.gateway.tenancy.key_file import (
    KeyFile,
    KeyFileError,
    Previous,
    StoredKey,
    hash_of,
)
from inference.gateway.tenancy.priority import Priority
from inference.gateway.tenancy.secret import new_id, new_secret
from warmfront.errors import WarmfrontError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key that is to be made; None is without bound, or for ever."""

    name: str
    scopes: frozenset[Scope] = frozenset({Scope.INFERENCE})
    priority: Priority = Priority.INTERACTIVE
    share: float = 1.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrent: int | None = None
    lasts: timedelta | None = None

    def key(self, secret: str, now: datetime) -> StoredKey:
        """Return the key as the file has it."""
        return StoredKey(
            id=new_id(),
            name=self.name,
            hash=hash_of(secret),
            scopes=self.scopes,
            priority=self.priority,
            share=self.share,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            concurrent=self.concurrent,
            created=now,
            expires=None if self.lasts is None else now + self.lasts,
        )


def create(path: Path, wanted: Wanted, *, as_json: bool) -> int:
    """Add a key and print it."""
    secret = new_secret()
    key = wanted.key(secret, _now())
    with _editing(path) as keys:
        is_first = not keys
        keys.append(key)
    _show_secret(key, secret, as_json=as_json)
    if is_first:
        _say("It is the first: from now on the gateway takes requests with a key only.")
    return 0


def show(path: Path, *, as_json: bool) -> int:
    """Print the keys without their secrets."""
    with _for_people(path):
        keys = KeyFile(path, warn=_say).read()
    if as_json:
        print(json.dumps([_described(key) for key in keys], indent=2))  # noqa: T201
    elif keys:
        Console().print(_table(keys))
    else:
        _say(f"There are no keys in {path}: everybody may ask for inference.")
    return 0


def revoke(path: Path, wanted: str, *, as_json: bool) -> int:
    """Make a key open nothing; it stays in the file, for without any everybody could call."""
    with _editing(path) as keys:
        place = _place(keys, wanted, path)
        keys[place] = keys[place].model_copy(update={"disabled": True, "previous": None})
        key = keys[place]
    if as_json:
        print(json.dumps(_described(key)))  # noqa: T201
    else:
        _say(f"Revoked {key.id} of {key.name}; a running gateway knows within seconds.")
    return 0


def rotate(path: Path, wanted: str, *, grace: timedelta | None, as_json: bool) -> int:
    """Give a key a new secret and print it; the old one opens for `grace` as well."""
    secret = new_secret()
    with _editing(path) as keys:
        place = _place(keys, wanted, path)
        old = keys[place]
        if old.disabled:
            raise WarmfrontError(f"{old.id} is revoked; make a new key: `warmfront keys create`")
        previous = None if grace is None else Previous(hash=old.hash, expires=_now() + grace)
        key = old.model_copy(update={"hash": hash_of(secret), "previous": previous})
        keys[place] = key
    _show_secret(key, secret, as_json=as_json)
    return 0


@contextmanager
def _editing(path: Path) -> Iterator[list[StoredKey]]:
    with _for_people(path), KeyFile(path, warn=_say).editing() as keys:
        yield keys


@contextmanager
def _for_people(path: Path) -> Iterator[None]:
    try:
        yield
    except KeyFileError as error:
        raise WarmfrontError(str(error)) from error
    except OSError as error:
        raise WarmfrontError(f"{error.filename or path}: {error.strerror or error}") from error


def _place(keys: list[StoredKey], wanted: str, path: Path) -> int:
    for place, key in enumerate(keys):
        if key.id == wanted:
            return place
    raise WarmfrontError(
        f"there is no key {wanted!r} in {path}; `warmfront keys list` shows their ids"
    )


def _show_secret(key: StoredKey, secret: str, *, as_json: bool) -> None:
    """Print a secret, the one time that anybody does; only it goes to standard output."""
    if as_json:
        print(json.dumps(_described(key) | {"key": secret}))  # noqa: T201
        return
    _say(f"{key.id} of {key.name}. Keep the key now: it is shown this once.")
    print(secret)  # noqa: T201


def _table(keys: tuple[StoredKey, ...]) -> Table:
    may_break = {"tenant", "state"}  # the others are of no use when they are cut
    names = ("id", "tenant", "opens", "priority", "share", "limits", "state")
    columns = (Column(name, no_wrap=name not in may_break, overflow="fold") for name in names)
    table = Table(*columns, box=None, padding=(0, 1, 0, 0))
    for key in keys:
        table.add_row(
            key.id, key.name, "\n".join(sorted(key.scopes)), key.priority.value,
            f"{key.share:g}", _limits(key), _state(key),
        )  # fmt: skip
    return table


def _described(key: StoredKey) -> dict[str, Any]:
    fields = key.model_dump(mode="json", exclude={"hash", "previous"})
    return fields | {"scopes": sorted(key.scopes), "state": _state(key)}


def _limits(key: StoredKey) -> str:
    limits = (
        (key.requests_per_minute, "requests/min"),
        (key.tokens_per_minute, "tokens/min"),
        (key.concurrent, "in flight"),
    )
    return (
        "\n".join(f"{value:,.12g} {what}" for value, what in limits if value is not None) or "none"
    )


def _state(key: StoredKey) -> str:
    if key.disabled:
        return "revoked"
    if key.expires is None:
        return "good"
    day = key.expires.strftime("%Y-%m-%d")
    return f"expired {day}" if key.expires <= _now() else f"good until {day}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - this is the terminal


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
