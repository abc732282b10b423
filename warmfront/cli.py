"""The command line: each command is one function; errors for people end here."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from forecaster.cli.arguments import add_forecast, with_action
from warmfront.completion import add_completion
from warmfront.config import Config, load_config
from warmfront.errors import WarmfrontError
from warmfront.keys.commands import add_keys
from warmfront.models.commands import add_models
from warmfront.rollouts import add_rollout
from warmfront.state_dir import StateDir

DEFAULT_CONFIG = Path("warmfront.toml")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 failed, 2 wrongly asked, 130 stopped."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["forecast"]:
        words[1:] = with_action(words[1:])
    arguments = _parser().parse_args(words)
    try:
        status: int = arguments.command(arguments)
    except WarmfrontError as error:
        print(f"warmfront: {error}", file=sys.stderr)  # noqa: T201 - this is the terminal
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):  # stopped, and once more while it ended
        return 130
    except BrokenPipeError:  # the reader of a pipe had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="warmfront",
        description="Watch GPU inference, forecast its demand, keep just enough replicas warm.",
    )
    parser.add_argument("--version", action="version", version=f"warmfront {version('warmfront')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_up(commands)
    _add_down(commands)
    _add_replay(commands)
    add_forecast(commands)
    _add_autoscaler(commands)
    add_models(commands, lambda arguments: _config(arguments).state_dir / "models")
    add_keys(commands, _key_file)
    add_rollout(commands, _config)
    add_completion(commands, _parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (default: warmfront.toml, if there)"
    )
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="where history is kept")


def _add_up(commands: Any) -> None:
    parser = commands.add_parser("up", help="start everything on this machine")
    _add_common(parser)
    for name in ("gateway", "console", "exporter"):
        parser.add_argument(f"--{name}-port", type=int, metavar="PORT", help=f"of the {name}")
    parser.add_argument("--plain", action="store_true", help="log lines instead of the live view")
    parser.set_defaults(command=_up)


def _add_down(commands: Any) -> None:
    parser = commands.add_parser("down", help="stop what a killed Warmfront left running")
    _add_common(parser)
    parser.set_defaults(command=_down)


def _add_replay(commands: Any) -> None:
    parser = commands.add_parser(
        "replay", help="play a day of demand through a tier, time-compressed, and compare policies"
    )
    parser.add_argument(
        "trace", nargs="?", type=Path, help="CSV of requests (default: a made-up office week)"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings to start from")
    parser.add_argument(
        "--seconds", type=float, default=144.0, help="live seconds for the day (default: 144)"
    )
    parser.add_argument(
        "--peak", type=float, default=12.0, help="requests/s at the highest step (default: 12)"
    )
    parser.add_argument(
        "--pace", type=float, default=0.025, metavar="SECONDS",
        help="an iteration takes at least this long, to stand for a larger model (default: 0.025)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=7, help="of the arrivals (default: 7)")
    parser.add_argument(
        "--policy", choices=("both", "predictive", "reactive"), default="both", help="to play"
    )
    parser.add_argument("--plain", action="store_true", help="a progress bar without live view")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores there as well")
    parser.set_defaults(command=_replay)


def _add_autoscaler(commands: Any) -> None:
    parser = commands.add_parser("autoscaler", help="what was decided, and why")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, text in (("ledger", "list decisions"), ("explain", "explain the last decision")):
        action = actions.add_parser(name, help=text)
        _add_common(action)
        if name == "ledger":
            action.add_argument("--last", type=int, default=20, metavar="N", help="how many")
        action.set_defaults(command=_ledger if name == "ledger" else _explain)


def _config(arguments: argparse.Namespace) -> Config:
    """Read the settings and lay the command line's over them."""
    path = arguments.config
    if path is None and DEFAULT_CONFIG.exists():
        path = DEFAULT_CONFIG
    config = load_config(path)
    if getattr(arguments, "state_dir", None) is not None:
        config = config.model_copy(update={"state_dir": arguments.state_dir})
    ports = {
        name: getattr(arguments, f"{name}_port", None)
        for name in ("gateway", "console", "exporter")
    }
    given = {name: port for name, port in ports.items() if port is not None}
    return config.replaced("the command line", addresses=given) if given else config


def _key_file(arguments: argparse.Namespace) -> Path:
    config = _config(arguments)
    return config.gateway.keys or StateDir(config.state_dir.absolute()).keys


def _up(arguments: argparse.Namespace) -> int:
    from warmfront.up import up  # noqa: PLC0415 - the stack is slow to import

    return asyncio.run(up(_config(arguments), plain=arguments.plain))


def _down(arguments: argparse.Namespace) -> int:
    from warmfront.down import down  # noqa: PLC0415

    return down(_config(arguments), Console())


def _replay(arguments: argparse.Namespace) -> int:
    from warmfront.replay import Request, replay  # noqa: PLC0415
    from warmfront.signals import INTERRUPTED, interruptible  # noqa: PLC0415

    policies = ("predictive", "reactive") if arguments.policy == "both" else (arguments.policy,)
    request = Request(
        trace=arguments.trace,
        seconds=arguments.seconds,
        peak=arguments.peak,
        seed=arguments.seed,
        pace=arguments.pace,
        policies=policies,
        plain=arguments.plain,
        json_path=arguments.json,
    )
    status = asyncio.run(interruptible(replay(request, _config(arguments))))
    if status == INTERRUPTED:
        Console().print("Stopped before its end; nothing is left running.")
    return status


def _ledger(arguments: argparse.Namespace) -> int:
    from warmfront.decisions import show_ledger  # noqa: PLC0415

    return show_ledger(_config(arguments), last=arguments.last, out=Console())


def _explain(arguments: argparse.Namespace) -> int:
    from warmfront.decisions import show_last  # noqa: PLC0415

    return show_last(_config(arguments), out=Console())


if __name__ == "__main__":
    sys.exit(main())
