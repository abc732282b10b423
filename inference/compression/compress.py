"""Making a model smaller, start to end: judge, change, judge again, keep it or not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.compression.errors import CompressionError
from inference.compression.output import REPORT_FILE, new_folder, write_json
from inference.compression.quality import measure
from inference.compression.report import Report
from inference.compression.text import read_windows, split
from inference.models.spec import ModelSpec, load_spec
from inference.models.tokenizer import load_tokenizer
from telemetry.clock import Clock

Progress = Callable[[str, float], None]  # what is done now, and how much of it, 0 to 1


class Change(Protocol):
    """One way to make a model smaller."""

    @property
    def method(self) -> str:
        """What is done, for a report."""
        ...

    def check(self, spec: ModelSpec) -> None:
        """Raise CompressionError where this cannot be done to such a model."""
        ...

    def write(
        self, source: Path, target: Path, windows: NDArray[np.int64], progress: Progress
    ) -> Mapping[str, Any]:
        """Write the weights and config.json of the smaller model; return facts for the report.

        The windows, tokens of the user's text, are none of those that the result is judged on.
        """
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """From where to where, and by which text the result is judged."""

    source: Path
    target: Path
    text: Path
    max_loss: float = 0.05  # by how much of itself perplexity may rise
    window: int = 128  # tokens that are judged in one go, if the model's context has as many
    judged: int = 32  # windows


def compress(job: Job, change: Change, *, clock: Clock, progress: Progress) -> Report:
    """Make a folder with the smaller model and its report, or raise and leave nothing."""
    spec = load_spec(job.source)
    if spec.quantization is not None:
        raise CompressionError(
            f"{job.source}: is quantised already ({spec.stored_precision}); take the checkpoint "
            "that it was made from"
        )
    change.check(spec)
    windows = read_windows(
        job.text, load_tokenizer(job.source), length=min(job.window, spec.positions)
    )
    learned, judged = split(windows, judged=job.judged)
    with new_folder(job.target, like=job.source) as partial:
        progress("judging the model as it is", 0.0)
        before = measure(job.source, judged, clock=clock)
        facts = change.write(job.source, partial, learned, progress)
        progress("judging the smaller one", 0.0)
        after = measure(partial, judged, clock=clock)
        tokens = judged[:, 1:].size
        report = Report(change.method, before, after, tokens, spec.vocabulary, dict(facts))
        report.require(max_loss=job.max_loss)
        write_json(partial / REPORT_FILE, report.as_json())
    return report
