import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from inference.compression.errors import CompressionError
from inference.compression.quantization import TARGETS, Quantize
from inference.compression.report import Report
from inference.models.checkpoint import load_weights
from inference.models.graph.decoder import build_decoder
from inference.models.precision import Precision
from inference.models.spec import ModelError, load_spec
from inference.models.verify import verify
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.runtime import RuntimeSettings
from inference.runtimes.speed import rows_at
from tests.inference.compression.conftest import BUNDLED
from tests.inference.conftest import tiny, write_checkpoint

Smaller = Callable[..., tuple[Path, Report]]
each_target = pytest.mark.parametrize("precision", TARGETS)


@each_target
def test_a_quantised_folder_is_sound_and_run_in_its_precision(
    smaller: Smaller, tiny_model: Path, precision: Precision
):
    folder, report = smaller(tiny_model, Quantize(precision))

    assert verify(folder) == []
    assert load_spec(folder).stored_precision is precision
    assert report.after.precision is precision
    assert json.loads((folder / "compression.json").read_text()) == report.as_json()


@each_target
def test_the_numbers_that_are_run_are_those_that_are_stored(
    smaller: Smaller, tiny_model: Path, precision: Precision
):
    folder, _report = smaller(tiny_model, Quantize(precision))
    spec = load_spec(folder)
    weights = load_weights(folder, spec)
    name = "model.layers.1.mlp.up_proj"
    kept = {
        one.name: one
        for one in build_decoder(
            spec, weights, block_size=16, precision=precision
        ).graph.initializer
    }

    stated = kept[f"{name} scales"].raw_data
    floats = np.float16 if precision is Precision.FP8 else np.float32
    expected = weights[f"{name}.weight_scale"].T.astype(floats)
    assert stated == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize(
    ("precision", "most"),
    [
        pytest.param(Precision.INT8, 0.01, id="int8"),
        pytest.param(Precision.INT8_STATIC, 0.05, id="int8-static"),
        pytest.param(Precision.FP8, 0.05, id="fp8"),
    ],
)
def test_the_bundled_model_loses_little(smaller: Smaller, precision: Precision, most: float):
    _folder, report = smaller(BUNDLED, Quantize(precision))

    assert abs(report.loss) < most
    assert report.size_ratio < 0.9


@each_target
def test_an_answer_does_not_depend_on_the_rows_beside_it(
    smaller: Smaller, tiny_model: Path, precision: Precision
):
    folder, _report = smaller(tiny_model, Quantize(precision))
    spec = load_spec(folder)
    runtime = OnnxRuntime(RuntimeSettings())
    runtime.load(spec, load_weights(folder, spec))
    runtime.allocate_kv(9)
    tokens = np.random.default_rng(1).integers(0, 256, (4, 12))
    together = runtime.step(rows_at(runtime, tokens, 0, context=12)).copy()
    alone = runtime.step(rows_at(runtime, tokens[2:3], 0, context=12))

    np.testing.assert_array_equal(alone[0], together[2])


def test_static_int8_is_computed_in_whole_numbers(smaller: Smaller, tiny_model: Path, tmp_path):
    folder, _report = smaller(tiny_model, Quantize(Precision.INT8_STATIC))
    spec = load_spec(folder)
    graph = build_decoder(
        spec, load_weights(folder, spec), block_size=16, precision=Precision.INT8_STATIC
    )
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(graph.SerializeToString(), options)

    fused = (tmp_path / "optimised.onnx").read_bytes().count(b"MatMulIntegerToFloat")
    assert fused >= 5 * spec.layers


def test_what_sees_images_is_left_alone(smaller: Smaller, tmp_path: Path):
    source = write_checkpoint(tmp_path / "seeing", tiny("llava"))
    eyes = {
        "vision_tower.vision_model.embeddings.position_ids": np.arange(4)[None],
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight": np.eye(
            8, dtype=np.float16
        ),
    }
    path = source / "model.safetensors"
    save_file(load_file(path) | eyes, path)
    folder, _report = smaller(source, Quantize(Precision.INT8_STATIC))

    with safe_open(folder / "model.safetensors", framework="np") as kept:
        for name, array in eyes.items():
            np.testing.assert_array_equal(kept.get_tensor(name), array)
        assert "language_model.model.layers.0.mlp.up_proj.input_scale" in kept.keys()  # noqa: SIM118
    assert load_spec(folder).image_token == 258


def test_what_is_quantised_is_not_quantised_again(smaller: Smaller, tiny_model: Path, tmp_path):
    folder, _report = smaller(tiny_model, Quantize(Precision.INT8))
    again = folder.rename(tmp_path / "again")

    with pytest.raises(CompressionError, match=r"is quantised already \(int8\)"):
        smaller(again, Quantize(Precision.INT4))


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.FP32])
def test_a_format_of_plain_floats_is_no_target(
    smaller: Smaller, tiny_model: Path, precision: Precision
):
    with pytest.raises(CompressionError, match=f"expected one of int4, .*got {precision}"):
        smaller(tiny_model, Quantize(precision))


def test_matrices_that_no_group_divides_are_refused(
    smaller: Smaller, new_checkpoint: Callable[..., Path]
):
    with pytest.raises(CompressionError, match=r"\[32, 50, 64\] inputs: use int8-static"):
        smaller(new_checkpoint(feed_forward=50), Quantize(Precision.INT4))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda name, array: array[:, :-1] if name.endswith("up_proj.weight_packed") else array,
            r"model\.safetensors: tensor model\.layers\.0\.mlp\.up_proj\.weight: expected packed",
            id="cut numbers",
        ),
        pytest.param(
            lambda name, array: None if name.endswith("0.mlp.up_proj.weight_scale") else array,
            r"tensor model\.layers\.0\.mlp\.up_proj\.weight is incomplete",
            id="no scale",
        ),
        pytest.param(
            lambda name, array: array * np.nan if array.dtype == np.float16 and "_scale" in name
            else array,
            r"proj\.weight: its scales are not finite",
            id="broken scale",
        ),
    ],
)  # fmt: skip
def test_a_corrupted_folder_is_one_clear_error(
    smaller: Smaller, tiny_model: Path, change: Callable[..., np.ndarray | None], reason: str
):
    folder, _report = smaller(tiny_model, Quantize(Precision.INT4))
    path = folder / "model.safetensors"
    changed = {name: change(name, array) for name, array in load_file(path).items()}
    kept = {name: np.ascontiguousarray(one) for name, one in changed.items() if one is not None}
    save_file(kept, path)

    with pytest.raises(ModelError, match=reason):
        load_weights(folder, load_spec(folder))
    assert len(verify(folder)) == 1


@pytest.mark.parametrize("scale", [np.zeros(1, np.float32), np.ones(2, np.float32), None])
def test_a_scale_of_inputs_that_cannot_be_is_refused(
    smaller: Smaller, tiny_model: Path, scale: np.ndarray | None
):
    folder, _report = smaller(tiny_model, Quantize(Precision.INT8_STATIC))
    path, name = folder / "model.safetensors", "model.layers.0.mlp.up_proj.input_scale"
    changed = {key: scale if key == name else one for key, one in load_file(path).items()}
    save_file({key: one for key, one in changed.items() if one is not None}, path)

    with pytest.raises(ModelError, match=r"up_proj\.input_scale"):
        load_weights(folder, load_spec(folder))


def test_transformers_reads_the_same_numbers(smaller: Smaller, tiny_model: Path):
    torch = pytest.importorskip("torch", reason="a peer")
    transformers = pytest.importorskip("transformers", reason="a peer")
    pytest.importorskip("compressed_tensors", reason="by which transformers reads the layout")
    transformers.utils.logging.disable_progress_bar()
    folder, _report = smaller(tiny_model, Quantize(Precision.INT4))
    weights = load_weights(folder, load_spec(folder))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model(torch.arange(8)[None])  # unpacks at the first call

    for name in ("self_attn.q_proj", "mlp.down_proj"):
        found = model.get_parameter(f"model.layers.0.{name}.weight").detach().numpy()
        np.testing.assert_allclose(found, weights[f"model.layers.0.{name}.weight"], rtol=1e-6)
