"""One run of an action: read demand, answer, write; errors for people end here."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TextIO

from forecaster.cli.asked import Asked, asked_of
from forecaster.cli.commands.backtest import backtest
from forecaster.cli.commands.command import Command
from forecaster.cli.commands.compare import compare
from forecaster.cli.commands.describe import describe
from forecaster.cli.commands.fit import fit
from forecaster.cli.commands.plot import plot
from forecaster.cli.commands.predict import predict
from forecaster.cli.loading import load
from forecaster.cli.logs import logs_on
from forecaster.cli.output.formats import format_of
from forecaster.cli.output.writing import write, write_file
from forecaster.cli.progress import progress
from forecaster.demand.demand import DemandError
from forecaster.models.extras import ModelError
from telemetry.clock import SystemClock

COMMANDS: Mapping[str, Command] = {
    "predict": predict,
    "fit": fit,
    "backtest": backtest,
    "compare": compare,
    "plot": plot,
    "describe": describe,
}
STOPPED = 130


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask and return the exit status: 0 done, 1 failed, 130 stopped."""
    asked = asked_of(arguments, now=SystemClock().now())
    with logs_on(sys.stderr):
        return ended(lambda: _answer(arguments, asked), sys.stderr)


def ended(work: Callable[[], None], errors: TextIO) -> int:
    """Do the work and turn what may end it into a line for people and an exit status."""
    try:
        work()
    except (DemandError, ModelError) as error:
        errors.write(f"forecast: {' '.join(str(error).split())}\n")
        return 1
    except MemoryError:
        errors.write(
            "forecast: there is not enough memory for so many steps: choose a longer --step, or a "
            "shorter --horizon or --history\n"
        )
        return 1
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:  # the reader of a pipe had enough
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _answer(arguments: argparse.Namespace, asked: Asked) -> None:
    form = format_of(arguments.format, getattr(arguments, "output", None))
    with progress("Reading", sys.stderr):
        demand = load(asked)
    with progress(_LABELS.get(arguments.action, "Forecasting"), sys.stderr) as on_progress:
        result = COMMANDS[arguments.action](asked, demand, on_progress)
    for path, content in result.files.items():
        write_file(path, content)
    write(result, form, getattr(arguments, "output", None))


_LABELS = {"compare": "Comparing", "plot": "Drawing", "describe": "Measuring", "fit": "Fitting"}
