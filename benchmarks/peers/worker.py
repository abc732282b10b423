"""How a benchmark talks to what it compares: one process each, one JSON line per measurement.

A subject computes with one thread. Times are CPU seconds of its process: on a shared machine
they vary less than wall time, and with one thread they are the same on an idle one.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Subject(Protocol):
    """One way to run the model."""

    def decode(self, *, batch: int, context: int, steps: int) -> float:
        """Return CPU seconds of one step that adds a token to each of `batch` sequences."""
        ...

    def prefill(self, *, tokens: int) -> float:
        """Return CPU seconds to compute one prompt."""
        ...


def serve(build: Callable[[Path, str], Subject]) -> None:
    """Build the subject for the folder and variant on the command line; answer until stdin ends.

    A library that is not installed is told as such, and the process ends.
    """
    answers = os.fdopen(os.dup(1), "w")  # libraries print to stdout: it becomes stderr
    os.dup2(2, 1)
    try:
        subject = build(Path(sys.argv[1]), sys.argv[2])
    except ImportError as error:
        _tell(answers, {"missing": str(error)})
        return
    _tell(answers, {"ready": True})
    for line in sys.stdin:
        ask = json.loads(line)
        measure = getattr(subject, ask.pop("measure"))
        _tell(answers, {"seconds": measure(**ask)})


def _tell(answers: Any, value: Mapping[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()
