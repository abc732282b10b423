from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.compression.compress import Job, Progress, compress
from inference.compression.errors import CompressionError, QualityLossError
from inference.compression.libraries import library
from inference.compression.output import read_all, write_weights
from inference.compression.quality import Quality
from inference.compression.quantization import Quantize
from inference.compression.report import Report
from inference.compression.text import read_windows, split
from inference.models.precision import Precision
from inference.models.reference import reference_logits
from inference.models.spec import ModelSpec, load_spec
from inference.models.tokenizer import load_tokenizer
from telemetry.clock import SystemClock
from tests.inference.compression.conftest import silent


@dataclass(frozen=True)
class Scale:
    """Multiplies every tensor: by 1 nothing changes, by 0 everything is lost."""

    factor: float
    method: str = "scale"

    def check(self, spec: ModelSpec) -> None:
        pass

    def write(
        self, source: Path, target: Path, windows: np.ndarray, progress: Progress
    ) -> Mapping[str, Any]:
        write_weights(target, {name: one * self.factor for name, one in read_all(source)})
        (target / "config.json").write_text((source / "config.json").read_text())
        return {"learned": len(windows)}


@pytest.fixture
def job(tiny_model: Path, tmp_path: Path, text: Path) -> Job:
    return Job(tiny_model, tmp_path / "new", text, window=16, judged=4)


def run(job: Job, factor: float = 1.0) -> Report:
    return compress(job, Scale(factor), clock=SystemClock(), progress=silent)


def test_what_changes_nothing_costs_nothing(job: Job):
    report = run(job)

    assert report.loss == 0
    assert report.judged_tokens == 4 * 15
    assert report.before.size_bytes < report.after.size_bytes  # of float64
    names = {path.name for path in job.target.iterdir()}
    assert names == {path.name for path in job.source.iterdir()} | {"compression.json"}


def test_what_loses_too_much_leaves_nothing_behind(job: Job):
    with pytest.raises(QualityLossError, match=r"\+.*%\), and 5\.0% more is allowed"):
        run(replace(job, window=32), factor=3.0)

    assert list(job.target.parent.iterdir()) == []


def test_a_failure_leaves_nothing_behind(job: Job):
    with pytest.raises(ValueError, match="not finite"):
        run(job, factor=np.inf)

    assert list(job.target.parent.iterdir()) == []


def test_nothing_is_overwritten(job: Job):
    job.target.mkdir()

    with pytest.raises(CompressionError, match=r"new: is there already"):
        run(job)


def test_a_folder_that_cannot_be_written_is_named(job: Job):
    (job.target.parent / "file").write_text("")

    with pytest.raises(CompressionError, match=r"file/.*: cannot be written"):
        run(replace(job, target=job.target.parent / "file" / "new"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, r"cannot be read as UTF-8 text", id="none"),
        pytest.param(b"\xff\xfe\x00", "cannot be read as UTF-8 text", id="not text"),
        pytest.param(b"short", "6 tokens are too few; 32 or more", id="too short"),
    ],
)
def test_a_text_that_is_of_no_use_is_refused(job: Job, content: bytes | None, reason: str):
    path = job.target.parent / "text"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CompressionError, match=f"text: {reason}"):
        run(replace(job, text=path))


def test_what_is_learned_from_is_not_judged_by():
    windows = np.arange(20).reshape(10, 2)
    learned, judged = split(windows, judged=3)

    assert judged[:, 0].tolist() == [0, 8, 18]
    assert sorted([*learned[:, 0], *judged[:, 0]]) == windows[:, 0].tolist()


@pytest.mark.parametrize("count", [2, 3, 100])
def test_half_of_a_short_text_is_judged_at_most(count: int):
    learned, judged = split(np.zeros((count, 4), np.int64), judged=32)

    assert len(judged) == min(32, count // 2)
    assert len(learned) == count - len(judged)


def test_perplexity_is_that_of_the_reference(job: Job):
    """Against the network written out in NumPy, over the same windows."""
    report = run(job)
    spec = load_spec(job.source)
    weights = {name: one.astype(np.float32) for name, one in read_all(job.source)}
    windows = read_windows(job.text, load_tokenizer(job.source), length=16)
    nats = [
        surprise
        for window in split(windows, judged=4)[1]
        for surprise in surprises(reference_logits(spec, weights, window), window)
    ]

    assert report.before.perplexity == pytest.approx(np.exp(np.mean(nats)), rel=1e-3)


def surprises(scores: np.ndarray, window: np.ndarray) -> list[float]:
    shares = np.exp(scores - scores.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return [-np.log(shares[at, token]) for at, token in enumerate(window[1:])]


def test_speed_that_means_nothing_is_not_told(job: Job):
    change = Quantize(Precision.FP8)
    report = compress(replace(job, max_loss=1e9), change, clock=SystemClock(), progress=silent)

    assert report.after.tokens_per_second is None
    assert report.speed_ratio is None
    assert report.as_json()["ratios"]["speed"] is None


@pytest.mark.parametrize(
    ("perplexity", "is_allowed"),
    [(104.9, True), (105.1, False), (50.0, True), (float("nan"), False), (float("inf"), False)],
)
def test_perplexity_may_rise_by_what_is_allowed(perplexity: float, *, is_allowed: bool):
    before = Quality(Precision.FP32, 4, 1.0, 100.0)
    report = Report("rounding", before, replace(before, perplexity=perplexity), 10, 264)

    if is_allowed:
        report.require(max_loss=0.05)
    else:
        with pytest.raises(QualityLossError, match=r"nothing was written"):
            report.require(max_loss=0.05)


def test_a_text_that_the_model_cannot_foresee_is_told():
    quality = Quality(Precision.FP32, 4, 1.0, 265.0)

    assert Report("rounding", quality, quality, 10, 264).is_text_foreign
    assert not Report("rounding", quality, quality, 10, 265).is_text_foreign


def test_a_library_that_is_not_there_says_what_to_install():
    with pytest.raises(CompressionError, match=r"no_such is needed.*'warmfront\[compress\]'"):
        library("no_such.module")
