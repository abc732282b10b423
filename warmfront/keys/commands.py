"""`warmfront keys`: its arguments, and which function answers each action."""

import argparse
import math
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

Arguments = argparse.Namespace
Root = Callable[[Arguments], Path]

_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NAME = re.compile(r"[A-Za-z0-9._:@-]{1,64}")


def add_keys(commands: Any, path: Root) -> None:
    """Add the command; `path` tells where the key file is, if nothing is said."""
    parser = commands.add_parser("keys", help="make and revoke the gateway's API keys")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_create(actions, path)
    _add_list(actions, path)
    _add_revoke(actions, path)
    _add_rotate(actions, path)


def _add_create(actions: Any, path: Root) -> None:
    parser = actions.add_parser("create", help="make a key; it is shown once and never again")
    add = parser.add_argument
    add("name", type=_name, metavar="NAME", help="of the tenant whose key it is")
    add(
        "--scope", type=_scopes, default=["inference"], metavar="LIST",
        help="what it opens: inference, admin, or both with a comma (default: inference)",
    )  # fmt: skip
    add(
        "--priority", choices=("interactive", "standard", "batch"), default="interactive",
        help="the most urgent class that it may ask for (default: interactive)",
    )  # fmt: skip
    add("--requests-per-minute", type=_amount, metavar="N", help="(default: no bound)")
    add(
        "--tokens-per-minute",
        type=_amount,
        metavar="N",
        help="input and output (default: no bound)",
    )
    add("--concurrent", type=_count, metavar="N", help="requests in flight (default: no bound)")
    add(
        "--share", type=_amount, default=1.0, metavar="X",
        help="of a busy tier, relative to other tenants (default: 1)",
    )  # fmt: skip
    add(
        "--expires",
        type=_duration,
        metavar="TIME",
        help="from now, such as 12h, 30d (default: never)",
    )
    _add_common(parser)
    parser.set_defaults(command=lambda one: _create(one, path(one)))


def _add_list(actions: Any, path: Root) -> None:
    parser = actions.add_parser("list", help="list the keys, without their secrets")
    _add_common(parser)
    parser.set_defaults(command=lambda one: _list(one, path(one)))


def _add_revoke(actions: Any, path: Root) -> None:
    parser = actions.add_parser("revoke", help="make a key open nothing any more")
    parser.add_argument("id", metavar="ID", help="of the key, as `list` shows it")
    _add_common(parser)
    parser.set_defaults(command=lambda one: _revoke(one, path(one)))


def _add_rotate(actions: Any, path: Root) -> None:
    parser = actions.add_parser("rotate", help="give a key a new secret, shown once")
    parser.add_argument("id", metavar="ID", help="of the key, as `list` shows it")
    parser.add_argument(
        "--grace", type=_duration, metavar="TIME",
        help="for which the old secret opens as well, such as 1h (default: not at all)",
    )  # fmt: skip
    _add_common(parser)
    parser.set_defaults(command=lambda one: _rotate(one, path(one)))


def _add_common(parser: Any) -> None:
    add = parser.add_argument
    add("--file", type=Path, metavar="FILE", help="(default: keys.json in the state folder)")
    add("--config", type=Path, metavar="FILE", help="settings")
    add("--state-dir", type=Path, metavar="DIR", help="where history is kept")
    add("--json", action="store_true", help="machine-readable")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"expected up to 64 letters, digits and . _ : @ -, got {text!r}"
        )
    return text


def _scopes(text: str) -> list[str]:
    scopes = [part.strip() for part in text.split(",")]
    if not set(scopes) <= {"inference", "admin"}:
        raise argparse.ArgumentTypeError(f"expected inference, admin or both, got {text!r}")
    return scopes


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _duration(text: str) -> timedelta:
    matched = re.fullmatch(r"([0-9]{1,5})([mhdw])", text)
    if matched is None or int(matched[1]) == 0:
        raise argparse.ArgumentTypeError(
            f"expected a number with m, h, d or w, such as 30d, got {text!r}"
        )
    return timedelta(seconds=int(matched[1]) * _SECONDS[matched[2]])


def _create(arguments: Arguments, path: Path) -> int:
    from inference.gateway.tenancy.caller import Scope  # noqa: PLC0415 - slow, as all below
    from inference.gateway.tenancy.priority import Priority  # noqa: PLC0415
    from warmfront.keys.actions import Wanted, create  # noqa: PLC0415

    wanted = Wanted(
        name=arguments.name,
        scopes=frozenset(map(Scope, arguments.scope)),
        priority=Priority(arguments.priority),
        share=arguments.share,
        requests_per_minute=arguments.requests_per_minute,
        tokens_per_minute=arguments.tokens_per_minute,
        concurrent=arguments.concurrent,
        lasts=arguments.expires,
    )
    return create(arguments.file or path, wanted, as_json=arguments.json)


def _list(arguments: Arguments, path: Path) -> int:
    from warmfront.keys.actions import show  # noqa: PLC0415

    return show(arguments.file or path, as_json=arguments.json)


def _revoke(arguments: Arguments, path: Path) -> int:
    from warmfront.keys.actions import revoke  # noqa: PLC0415

    return revoke(arguments.file or path, arguments.id, as_json=arguments.json)


def _rotate(arguments: Arguments, path: Path) -> int:
    from warmfront.keys.actions import rotate  # noqa: PLC0415

    return rotate(
        arguments.file or path, arguments.id, grace=arguments.grace, as_json=arguments.json
    )
