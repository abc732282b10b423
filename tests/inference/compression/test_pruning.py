from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from inference.compression.errors import CompressionError
from inference.compression.pruning import Pattern, Prune
from inference.compression.report import Report
from inference.models.checkpoint import load_weights
from inference.models.spec import load_spec
from inference.models.verify import verify
from tests.inference.conftest import tiny, write_checkpoint

pytest.importorskip("torch", reason="pruning is torch's")

Smaller = Callable[..., tuple[Path, Report]]
MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def matrices(folder: Path) -> dict[str, np.ndarray]:
    weights = load_weights(folder, load_spec(folder))
    return {name: one for name, one in weights.items() if name.split(".")[-2] in MATRICES}


def test_magnitude_takes_the_smallest_of_all_matrices(smaller: Smaller, tiny_model: Path):
    folder, report = smaller(tiny_model, Prune(Pattern.MAGNITUDE, 0.3))
    before, after = matrices(tiny_model), matrices(folder)
    gone = np.concatenate([np.abs(before[name][one == 0]) for name, one in after.items()])
    kept = np.concatenate([np.abs(one[one != 0]) for one in after.values()])

    assert verify(folder) == []
    assert report.facts["zeros"] == pytest.approx(0.3, abs=0.001)
    assert gone.max() <= kept.min()
    for name, one in after.items():
        np.testing.assert_array_equal(one[one != 0], before[name][one != 0])


def test_of_every_four_inputs_the_two_largest_stay(smaller: Smaller, tiny_model: Path):
    folder, report = smaller(tiny_model, Prune(Pattern.TWO_OF_FOUR))
    before, after = matrices(tiny_model), matrices(folder)

    assert report.facts["zeros"] == 0.5
    for name, one in after.items():
        blocks = np.abs(one.reshape(-1, 4))
        assert ((blocks != 0).sum(1) == 2).all()
        np.testing.assert_allclose(
            np.sort(blocks, axis=1)[:, 2:],
            np.sort(np.abs(before[name].reshape(-1, 4)), axis=1)[:, 2:],
        )


def test_zeros_save_no_bytes(smaller: Smaller, tiny_model: Path):
    _folder, report = smaller(tiny_model, Prune(Pattern.TWO_OF_FOUR))

    assert report.size_ratio == pytest.approx(1, abs=0.01)


def test_everything_but_the_decoders_matrices_stays(smaller: Smaller, tmp_path: Path):
    source = write_checkpoint(tmp_path / "seeing", tiny("llava"))
    path = source / "model.safetensors"
    eye = {"vision_tower.encoder.layers.0.self_attn.q_proj.weight": np.eye(8, dtype=np.float16)}
    save_file(load_file(path) | eye, path)
    folder, _report = smaller(source, Prune(Pattern.TWO_OF_FOUR))
    before, after = load_file(path), load_file(folder / "model.safetensors")

    assert before.keys() == after.keys()
    changed = {name for name, one in after.items() if (one != before[name]).any()}
    assert changed == {
        f"language_model.model.layers.{layer}.{part}.{name}.weight"
        for layer in (0, 1)
        for part, names in (("self_attn", MATRICES[:4]), ("mlp", MATRICES[4:]))
        for name in names
    }


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_of_all_or_nothing_is_refused(smaller: Smaller, tiny_model: Path, share: float):
    with pytest.raises(CompressionError, match="expected a share between 0 and 1"):
        smaller(tiny_model, Prune(Pattern.MAGNITUDE, share))


def test_matrices_without_blocks_of_four_are_refused(
    smaller: Smaller, new_checkpoint: Callable[..., Path]
):
    with pytest.raises(CompressionError, match="no blocks of 4"):
        smaller(new_checkpoint(feed_forward=50), Prune(Pattern.TWO_OF_FOUR))
