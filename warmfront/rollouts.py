"""`warmfront rollout`: start a rollout on the running gateway, watch it, and give it orders."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import quote

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from warmfront.config import Config
from warmfront.errors import WarmfrontError
from warmfront.state_dir import StateDir

Arguments = argparse.Namespace

_DEADLINE_SECONDS = 10.0
_PHASE_STYLES: Mapping[str, str] = {"promoted": "green", "rolled_back": "red"}
REASONS: Mapping[str, str] = {
    "healthy": "no sign of harm in enough requests",
    "fails_outright": "the canary failed every request",
    "errors": "the canary fails more often than stable, beyond the limit and beyond noise",
    "ttft": "the canary is slower than stable, beyond the limit and beyond noise",
    "quality": "the canary fails probes that stable passes",
    "canary_missing": "no replica of the canary serves",
    "too_early": "the step has not lasted long enough",
    "too_few_requests": "the canary has had too few requests in this step",
    "no_baseline": "stable has had too few requests to hold the canary against",
    "no_probes": "the probes have not been answered by both versions yet",
    "unclear_errors": "the canary fails more often than it may, but that can be noise: more is "
    "awaited",
    "unclear_ttft": "the canary is slower than it may be, but that can be noise: more is awaited",
    "unclear_quality": "the canary failed probes in the last round: they are asked again",
    "started": "it has just begun",
    "no_room": "the canary has fewer slots than stable: start more of its replicas",
    "old_sessions": "sessions that began on stable go on",
    "drained": "no session is left on stable",
    "drain_timeout": "the last sessions on stable had their time",
    "paused": "it is paused: resume it to go on",
    "ordered": "by order",
}


def add_rollout(commands: Any, config: Callable[[Arguments], Config]) -> None:
    """Add the command; `config` reads the settings that the arguments name."""
    parser = commands.add_parser("rollout", help="bring a new version of a model to its traffic")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_start(actions, config)
    status = actions.add_parser("status", help="show where rollouts stand, and why")
    status.add_argument("model", nargs="?", metavar="MODEL", help="only this one's")
    _add_gateway(status)
    status.set_defaults(command=lambda one: _status(one, config(one)))
    for name, text in (
        ("promote", "give all new sessions to the canary now"),
        ("roll-back", "give everything back to stable now"),
        ("pause", "go no further; clear harm still rolls back"),
        ("resume", "go on"),
        ("finish", "remove a rollout: requests go to any version from then on"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("model", metavar="MODEL")
        _add_gateway(action)
        action.set_defaults(command=lambda one, name=name: _order(one, name, config(one)))


def _add_start(actions: Any, config: Callable[[Arguments], Config]) -> None:
    parser = actions.add_parser("start", help="start a rollout; what is not given has a default")
    add = parser.add_argument
    add("model", metavar="MODEL")
    add("--canary", required=True, metavar="VERSION", help="the new one")
    add("--stable", metavar="VERSION", help="the old one (default: the other one that serves)")
    add("--strategy", choices=("canary", "blue-green"), help="in steps (default), or all at once")
    add("--steps", type=_percents, metavar="PERCENT,…", help="(default: 5,25,50,100)")
    add("--step-seconds", type=float, metavar="SECONDS", help="each lasts at least (300)")
    add("--min-requests", type=int, metavar="N", help="of the canary in each step (100)")
    add(
        "--max-ttft-ratio", type=_ratio, metavar="RATIO", default=argparse.SUPPRESS,
        help="of p95, canary over stable (1.25); 'none' does not judge it",
    )  # fmt: skip
    add("--max-error-delta", type=_percent, metavar="PERCENT", help="more failures (1)")
    add("--max-quality-drop", type=_percent, metavar="PERCENT", help="fewer probes passed (0)")
    add("--probes", type=Path, metavar="FILE", help='JSON: [{"prompt": …, "expect": REGEX}, …]')
    add("--patience-seconds", type=float, metavar="SECONDS", help="with no canary serving (120)")
    add("--prepare-seconds", type=float, metavar="SECONDS", help="until a canary serves (900)")
    add("--drain-seconds", type=float, metavar="SECONDS", help="of old sessions, blue-green (900)")
    _add_gateway(parser)
    parser.set_defaults(command=lambda one: _start(one, config(one)))


def _add_gateway(parser: Any) -> None:
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="settings")
    add("--state-dir", type=Path, metavar="DIR", help="where the admin key is")
    add("--url", metavar="URL", help="of the gateway (default: as the settings say)")
    add("--json", action="store_true", help="machine-readable")


def _percents(text: str) -> list[float]:
    return [_percent(one) for one in text.split(",")]


def _percent(text: str) -> float:
    try:
        return float(text.strip().removesuffix("%")) / 100
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a percentage, got {text!r}") from error


def _ratio(text: str) -> float | None:
    try:
        return None if text == "none" else float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a ratio or 'none', got {text!r}") from error


def _start(arguments: Arguments, config: Config) -> int:
    plan = {
        name: getattr(arguments, name)
        for name in (
            "model", "canary", "stable", "steps", "step_seconds", "min_requests",
            "max_error_delta", "max_quality_drop",
            "patience_seconds", "prepare_seconds", "drain_seconds",
        )
        if getattr(arguments, name) is not None
    }  # fmt: skip
    if hasattr(arguments, "max_ttft_ratio"):  # which may be None: not judged
        plan["max_ttft_ratio"] = arguments.max_ttft_ratio
    if arguments.strategy is not None:
        plan["strategy"] = arguments.strategy.replace("-", "_")
    if arguments.probes is not None:
        plan["probes"] = _read_probes(arguments.probes)
    return _show_one(arguments, _Gateway(arguments, config).ask("POST", body=plan))


def _status(arguments: Arguments, config: Config) -> int:
    page = _Gateway(arguments, config).ask("GET", arguments.model)
    if arguments.model is not None:
        return _show_one(arguments, page)
    out = Console()
    if arguments.json:
        out.print_json(json.dumps(page))
    elif not page["rollouts"]:
        out.print(Text("No rollout is under way: `warmfront rollout start` begins one."))
    for one in page["rollouts"] if not arguments.json else ():
        _print(one, out)
    if not page["is_kept"] and not arguments.json:
        out.print(Text("The gateway cannot write rollouts down: its log says why.", style="red"))
    return 0


def _order(arguments: Arguments, name: str, config: Config) -> int:
    gateway = _Gateway(arguments, config)
    if name == "finish":
        return _show_one(arguments, gateway.ask("DELETE", arguments.model))
    body = {"action": name.replace("-", "_")}
    return _show_one(arguments, gateway.ask("POST", arguments.model, body=body))


def _read_probes(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WarmfrontError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise WarmfrontError(f"{path} is not JSON: {error}") from error


class _Gateway:
    """The admin API of a gateway, asked as the owner of the state folder."""

    def __init__(self, arguments: Arguments, config: Config) -> None:
        self._base = (arguments.url or _url(config)).rstrip("/")
        self._key = _key(config)
        # No proxy stands between this machine and itself.
        self._opener = request.build_opener(request.ProxyHandler({}))

    def ask(self, method: str, model: str | None = None, *, body: Any = None) -> Any:
        """Send one order; WarmfrontError says why it was not followed."""
        path = "/admin/rollouts" + ("" if model is None else f"/{quote(model)}")
        try:
            asked = request.Request(  # noqa: S310 - the address is the operator's own
                self._base + path,
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={
                    "Authorization": f"Bearer {self._key}",
                    "Content-Type": "application/json",
                },
            )
            with self._opener.open(asked, timeout=_DEADLINE_SECONDS) as answer:
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise WarmfrontError(_told(error.code, error.read())) from error
        except (OSError, ValueError) as error:
            why = error.reason if isinstance(error, URLError) else error
            raise WarmfrontError(
                f"no answer from the gateway at {self._base} ({why}): is `warmfront up` running? "
                "another address is given with --url"
            ) from error


def _url(config: Config) -> str:
    host, port = config.addresses.host, config.addresses.gateway
    if port == 0:
        raise WarmfrontError("the gateway's port is chosen as it starts: give its --url")
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 - compared


def _key(config: Config) -> str:
    path = StateDir(config.state_dir).admin_key
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise WarmfrontError(
            f"cannot read the admin key {path}: {error.strerror or error}; "
            "name the gateway's state folder with --state-dir"
        ) from error


def _told(status: int, body: bytes) -> str:
    """Return what the gateway says of an error."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return f"the gateway answered with status {status}: is that address Warmfront's gateway?"


def _show_one(arguments: Arguments, one: Mapping[str, Any]) -> int:
    out = Console()
    if arguments.json:
        out.print_json(json.dumps(one))
    else:
        _print(one, out)
    return 0


def _print(one: Mapping[str, Any], out: Console) -> None:
    phase = one["phase"]
    head = Text.assemble(
        (one["model"], "bold"), "  ",
        (phase.replace("_", " "), _PHASE_STYLES.get(phase, "cyan")),
        f"  {one['weight']:.0%} of new sessions to {_version(one['canary']['version'])}",
        ("  paused" if one["is_paused"] else "", "yellow"),
    )  # fmt: skip
    out.print(head, soft_wrap=True)
    out.print(Text(REASONS.get(one["reason"], one["reason"]), style="dim"), soft_wrap=True)
    out.print(_table((one["stable"], one["canary"])))
    if one["old_sessions"]:
        out.print(Text(f"{one['old_sessions']} sessions of late are not on the canary."))


def _table(versions: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    headings = ("version", "serving", "requests", "failed", "TTFT p95", "probes passed")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "version" else "right")
    for one in versions:
        table.add_row(
            Text(_version(one["version"])),
            str(one["serving"]),
            str(one["requests"]),
            _share(one["failed_share"], ".1%"),
            _milliseconds(one["ttft_p95_seconds"]),
            _share(one["quality"], ".0%"),
        )
    return table


def _version(version: str) -> str:
    return version or "(no version)"


def _share(share: float | None, form: str) -> str:
    return "-" if share is None else format(share, form)


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"
