"""`warmfront completion`: what a shell needs to complete the commands, their options and files."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SHELLS = ("bash", "zsh", "fish")

_FOLDERS = frozenset({"DIR", "FOLDER"})
_FILES = frozenset({"FILE", "SOURCE"})
_HOW = """\
Write it where the shell looks:
  bash:  warmfront completion bash > ~/.local/share/bash-completion/completions/warmfront
  zsh:   warmfront completion zsh > a folder of $fpath, as _warmfront
  fish:  warmfront completion fish > ~/.config/fish/completions/warmfront.fish
or, for this session of bash alone:  eval "$(warmfront completion bash)"
"""


def add_completion(commands: Any, parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Add the command; `parser` makes the whole one that is to be completed."""
    added = commands.add_parser(
        "completion",
        help="print what a shell needs to complete these commands",
        epilog=_HOW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.add_argument("shell", choices=SHELLS, help="whose completion is printed")
    added.set_defaults(command=lambda arguments: _print(parser(), arguments.shell))


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script that teaches the shell this parser."""
    import shtab  # noqa: PLC0415 - only this command needs it

    for action in _actions(parser):
        if action.choices is None and _names_folder(action):
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.choices is None and _names_file(action):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell)


def _print(parser: argparse.ArgumentParser, shell: str) -> int:
    sys.stdout.write(completion(parser, shell) + "\n")
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every argument of the parser and of the parsers within it."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to look inside
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for inner in action.choices.values():
                yield from _actions(inner)


def _names_folder(action: argparse.Action) -> bool:
    return action.metavar in _FOLDERS


def _names_file(action: argparse.Action) -> bool:
    return action.type is Path or action.metavar in _FILES
