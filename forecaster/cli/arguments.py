"""The arguments of `warmfront forecast`: its actions, and what each of them takes."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from forecaster.cli import words

Arguments = argparse.Namespace

_EPILOG = (
    "Durations read 90s, 60m, 6h, 1h30m or 2d. Without an action, `predict` is meant. "
    "Exit status: 0 done, 1 failed, 2 wrongly asked, 130 stopped."
)


def add_forecast(commands: Any) -> None:
    """Add the command to those of a larger one."""
    add_actions(
        commands.add_parser(
            "forecast", help="forecast demand from a file or a Prometheus", epilog=_EPILOG
        )
    )


def add_actions(parser: argparse.ArgumentParser) -> None:
    """Add the actions to a parser."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, help_text, add in _ACTIONS:
        action = actions.add_parser(name, help=help_text, description=_sentence(help_text))
        _add_source(action)
        _add_settings(action)
        add(action)
        action.set_defaults(command=answer, action=name, refuse=action.error)


def with_action(words_given: Sequence[str]) -> list[str]:
    """Return the words after `forecast` with their action, which is `predict` if none is named."""
    given = list(words_given)
    named = {name for name, _, _ in _ACTIONS}
    if not given or given[0] in named | {"-h", "--help"}:
        return given
    return ["predict", *given]


def answer(arguments: Arguments) -> int:
    """Do what was asked and return the exit status."""
    if arguments.source is None and arguments.prometheus is None:
        arguments.refuse("expected a SOURCE: a file, or the URL of a Prometheus with --query")
    if arguments.source is not None and arguments.prometheus is not None:
        arguments.refuse("expected a SOURCE or --prometheus, got both")
    from forecaster.cli.run import run  # noqa: PLC0415 - help must not wait for numpy

    return run(arguments)


def _add_source(parser: Any) -> None:
    add = parser.add_argument_group("demand").add_argument
    add(
        "source", nargs="?", metavar="SOURCE",
        help="CSV, CSV.gz, Parquet or JSONL file, or the URL of a Prometheus",
    )  # fmt: skip
    add("--prometheus", metavar="URL", help="ask a live Prometheus instead of a file")
    add("--query", metavar="PROMQL", help="what to ask it for")
    add("--column", metavar="NAME", help="that holds the demand (default: found by its name)")
    add("--counter", action="store_true", help="it counts up, and starts again at times")
    add("--summed", action="store_true", help="add up the series that a query gives")
    add("--tokens", action="store_true", help="the query gives tokens/s, not requests/s")
    add("--model", metavar="NAME", help="only this model's demand")
    add("--region", metavar="NAME", help="only this region's demand")
    add("--class", dest="priority", metavar="NAME", help="only this priority class's demand")
    add("--no-mend", action="store_true", help="take outages and spikes for what they seem")


def _add_settings(parser: Any) -> None:
    add = parser.add_argument_group("forecast").add_argument
    add("--step", type=words.duration, metavar="TIME", help="of the grid (default: the file's)")
    add(
        "--horizon", type=words.span, metavar="TIME",
        help="how far ahead; a bare number counts steps (default: an hour, 6 steps at least)",
    )  # fmt: skip
    add("--season", type=words.duration, metavar="TIME", help="that repeats (default: a day)")
    add("--history", type=words.days, metavar="DAYS", help="looked back (default: 14)")
    add("--members", type=words.names, metavar="LIST", help="models (default: all cheap ones)")
    add("--calendar", type=Path, metavar="FILE", help="holidays, launches and other known events")
    add("--timezone", dest="zone", type=words.zone, metavar="ZONE", help="(default: UTC)")
    add("--seed", type=words.amount_of, metavar="N", help="of what is drawn (default: 0)")


def _add_predict(parser: Any) -> None:
    add = parser.add_argument_group("answer").add_argument
    add("--quantiles", type=words.levels, metavar="LIST", help="such as 0.5,0.99 or p50,p99")
    add("--lead", type=words.delay, metavar="TIME", help="ask for the highest from then on")
    add("--window", type=words.duration, metavar="TIME", help="for this long")
    add("--paths", type=words.count, metavar="N", help="draw so many scenarios")
    _add_siblings(add)
    _add_output(parser)


def _add_fit(parser: Any) -> None:
    add = parser.add_argument_group("answer").add_argument
    add(
        "--card", type=words.card, metavar="FILE", help="write the card: .json, or Markdown in .md"
    )
    _add_origins(add, least=words.amount_of)
    _add_siblings(add)
    _add_output(parser)


def _add_describe(parser: Any) -> None:
    _add_origins(parser.add_argument_group("answer").add_argument, least=words.amount_of)
    _add_output(parser)


def _add_backtest(parser: Any) -> None:
    add = parser.add_argument_group("answer").add_argument
    _add_origins(add, least=words.count)
    _add_pool(add)
    _add_siblings(add)
    _add_output(parser)


def _add_plot(parser: Any) -> None:
    add = parser.add_argument_group("answer").add_argument
    add(
        "--output", dest="picture", type=words.picture, metavar="FILE", required=True,
        help="the picture: .html, .png, .svg or .pdf",
    )  # fmt: skip
    _add_origins(add, least=words.amount_of)
    add("--json", dest="format", action="store_const", const="json", help="machine-readable")


def _add_origins(add: Callable[..., Any], *, least: Callable[[str], int]) -> None:
    add(
        "--origins", type=least, metavar="N",
        help="times forecast again to see how good it is (default: 48)",
    )  # fmt: skip


def _add_siblings(add: Callable[..., Any]) -> None:
    add(
        "--sibling", dest="siblings", action="append", metavar="FILE",
        help="like demand, whose errors stand in while the history is short; may be repeated",
    )  # fmt: skip


def _add_pool(add: Callable[..., Any]) -> None:
    add("--lead", type=words.delay, metavar="TIME", help="a replica starts in (default: 5m)")
    add("--window", type=words.duration, metavar="TIME", help="between decisions (default: 5m)")
    add(
        "--beta", type=words.positive, metavar="X",
        help="a replica missing costs so many times one idle (default: 10)",
    )  # fmt: skip


def _add_output(parser: Any) -> None:
    add = parser.add_argument_group("output").add_argument
    add("--format", choices=("table", "json", "csv", "parquet"), help="(default: table)")
    add("--json", dest="format", action="store_const", const="json", help="as --format json")
    add("--output", type=Path, metavar="FILE", help="write there; its ending names the format")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


_ACTIONS: Sequence[tuple[str, str, Callable[[Any], None]]] = (
    ("predict", "tell the quantiles of demand ahead", _add_predict),
    ("fit", "fit every member and write the card of what came of it", _add_fit),
    ("backtest", "forecast again at past origins and score it", _add_backtest),
    ("compare", "score members and simple rules side by side", _add_backtest),
    ("plot", "draw demand, its forecast and how far to trust it", _add_plot),
    ("describe", "say in words what the demand is like", _add_describe),
)
