"""A small made-up trace, and the command line as a person runs it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forecaster.__main__ import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Ten "days" of an hour each, in minutes, busy in their first half."""
    path = tmp_path / "demand.csv"
    rng = np.random.default_rng(1)
    counts = [rng.poisson(600 if minute % 60 < 30 else 120) for minute in range(600)]
    path.write_text("minute,requests\n" + "".join(f"{m},{c}\n" for m, c in enumerate(counts)))
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the words given; return the status, and what was written to the two streams."""

    def ran(*words: object) -> tuple[int, str, str]:
        try:
            status = main([str(word) for word in words])
        except SystemExit as stopped:  # argparse, where it was wrongly asked
            status = int(stopped.code or 0)
        out, errors = capsys.readouterr()
        return status, out, errors

    return ran
