"""A tiny model that knows its text, for a few kilobytes of English."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inference.compression.compress import Change, Job, compress
from inference.compression.report import Report
from inference.models import bundled
from telemetry.clock import SystemClock
from tests.inference.conftest import write_checkpoint

BUNDLED = Path(str(bundled.__file__)).parent
PROSE = (
    "The statement is executed once for each item of the sequence. If the sequence is empty, "
    "nothing is done. The name is bound to the object, and the value of the expression is "
    "returned to the caller. An exception is raised when the operand is not a number. "
)


def silent(what: str, share: float) -> None:
    """Hears of progress and says nothing."""


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences in a made-up order: no two windows are the same."""
    rng = np.random.default_rng(11)
    words = PROSE.split()
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(PROSE * 6 + " ".join(rng.choice(words, 400)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights; to be read only."""
    return write_checkpoint(tmp_path_factory.mktemp("source") / "model")


@pytest.fixture
def smaller(tmp_path: Path, text: Path) -> Callable[..., tuple[Path, Report]]:
    """Makes a model smaller and returns the new folder and its report."""

    def make(source: Path, change: Change, **settings: object) -> tuple[Path, Report]:
        settings = {"max_loss": float("inf"), "window": 32, "judged": 8} | settings
        job = Job(source, tmp_path / "smaller", text, **settings)
        return job.target, compress(job, change, clock=SystemClock(), progress=silent)

    return make
