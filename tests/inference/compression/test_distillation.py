from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.compression.distillation import Distill, spread, student_config
from inference.compression.errors import CompressionError
from inference.compression.report import Report
from inference.models.checkpoint import load_weights
from inference.models.spec import load_spec
from inference.models.verify import verify
from telemetry.clock import ManualClock
from tests.inference.conftest import FAMILIES, tiny, write_checkpoint

torch = pytest.importorskip("torch", reason="distilling is torch's")
pytest.importorskip("transformers", reason="it makes teacher and student")

Smaller = Callable[..., tuple[Path, Report]]
SHORT = Distill(1, steps=12, batch=4, learning_rate=3e-3, seed=3)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_student_learns(smaller: Smaller, tiny_model: Path):
    """What it is judged on is not what it was taught by."""
    folder, untaught = smaller(tiny_model, replace(SHORT, steps=1, learning_rate=1e-12))
    folder.rename(folder.with_name("untaught"))
    folder, taught = smaller(tiny_model, replace(SHORT, steps=60))

    assert verify(folder) == []
    assert taught.after.perplexity < 0.5 * untaught.after.perplexity
    assert taught.facts["loss_at_last"] < taught.facts["loss_at_first"]
    assert taught.size_ratio < 0.8
    assert (load_spec(folder).layers, taught.facts["teacher_layers"]) == (1, [0])


@pytest.mark.parametrize("family", [one for one in FAMILIES if one not in ("llava", "yarn")])
def test_every_family_has_students(smaller: Smaller, tmp_path: Path, family: str):
    source = write_checkpoint(tmp_path / family, tiny(family))
    folder, _report = smaller(source, replace(SHORT, steps=1))

    assert [one for one in verify(folder) if one.severity == "error"] == []
    assert load_spec(folder) == replace(load_spec(source), layers=1)


def test_the_same_seed_gives_the_same_student(smaller: Smaller, tiny_model: Path):
    def student(change: Distill) -> bytes:
        folder, _report = smaller(tiny_model, change)
        content = (folder / "model.safetensors").read_bytes()
        folder.rename(folder.with_name(f"seed {change.seed} {len(list(folder.parent.iterdir()))}"))
        return content

    first = student(SHORT)

    assert student(SHORT) == first
    assert student(replace(SHORT, seed=4)) != first


def test_time_may_end_the_lesson(smaller: Smaller, tiny_model: Path):
    class Ticking(ManualClock):
        def monotonic(self) -> float:
            self._now += 20
            return self._now

    _folder, report = smaller(tiny_model, replace(SHORT, minutes=1.0, clock=Ticking()))

    assert report.facts["steps"] == 3


def test_number_formats_are_the_teachers(smaller: Smaller, tiny_model: Path):
    folder, _report = smaller(tiny_model, replace(SHORT, steps=1))
    weights = load_weights(folder, load_spec(folder))

    assert all((one == one.astype(np.float16)).all() for one in weights.values())


@pytest.mark.parametrize(
    ("teacher", "student", "layers"),
    [(4, 2, [0, 3]), (12, 4, [0, 4, 7, 11]), (3, 1, [0]), (5, 4, [0, 1, 3, 4])],
)
def test_layers_are_spread_evenly(teacher: int, student: int, layers: list[int]):
    assert spread(teacher, student) == layers


def test_what_is_said_of_each_layer_goes_with_it():
    kinds = ["full_attention", "full_attention", "sliding_attention", "sliding_attention"]
    config = {"num_hidden_layers": 4, "layer_types": kinds, "max_window_layers": 2}

    assert student_config(config, [0, 3]) == {
        "num_hidden_layers": 2,
        "layer_types": ["full_attention", "sliding_attention"],
        "max_window_layers": 1,
    }


@pytest.mark.parametrize("layers", [0, 2, 3])
def test_a_student_is_smaller_than_its_teacher(smaller: Smaller, tiny_model: Path, layers: int):
    with pytest.raises(CompressionError, match="a student of 1 to 1 layers"):
        smaller(tiny_model, replace(SHORT, layers=layers))


def test_a_model_that_sees_is_not_distilled(smaller: Smaller, tmp_path: Path):
    source = write_checkpoint(tmp_path / "seeing", tiny("llava"))

    with pytest.raises(CompressionError, match="sees images cannot be distilled"):
        smaller(source, SHORT)
