from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from inference.models.spec import ModelError
from inference.runtimes.onnx_graph import OnnxGraphModel, TensorSpec
from inference.runtimes.runtime import RuntimeFailedError
from tests.inference.graphs import FLOAT, STRING, classifier, expected_probabilities, save


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OnnxGraphModel:
    return OnnxGraphModel(classifier(tmp_path_factory.mktemp("classifier")) / "model.onnx")


def features(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).standard_normal((rows, 4)).astype(np.float32)


def identity(path: Path, kind: int, shape_in: list, shape_out: list | None = None) -> Path:
    ports = {"x": (kind, shape_in)}, {"y": (kind, shape_out or shape_in)}
    return save(path, [helper.make_node("Identity", ["x"], ["y"])], *ports)


def test_it_says_what_goes_in_and_out(model: OnnxGraphModel):
    assert model.inputs == (TensorSpec("features", "FP32", (None, 4)),)
    assert model.outputs == (
        TensorSpec("label", "INT64", (None,)),
        TensorSpec("probabilities", "FP32", (None, 3)),
    )


@pytest.mark.parametrize("rows", [1, 7])
def test_outputs_come_by_name(model: OnnxGraphModel, rows: int):
    outputs = model.run({"features": features(rows)})

    expected = expected_probabilities(features(rows))
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-6)
    np.testing.assert_array_equal(outputs["label"], expected.argmax(axis=1))


def test_several_threads_may_run_it_at_once(model: OnnxGraphModel):
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: model.run({"features": features(n)}), range(1, 40)))

    for rows, outputs in enumerate(found, start=1):
        expected = expected_probabilities(features(rows))
        np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-6)


def test_a_serialised_graph_is_read_too(tmp_path: Path):
    data = (classifier(tmp_path) / "model.onnx").read_bytes()

    assert OnnxGraphModel(data).inputs[0].name == "features"


def test_texts_are_tensors_too(tmp_path: Path):
    model = OnnxGraphModel(identity(tmp_path / "texts.onnx", STRING, ["N", 2]))

    outputs = model.run({"x": np.array([["a", "b"]], object)})

    assert model.inputs[0].datatype == "BYTES"
    assert outputs["y"].tolist() == [["a", "b"]]


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((3, 4), True), ((0, 4), True), ((3, 5), False), ((3,), False), ((3, 4, 1), False)],
)
def test_a_shape_fits_where_every_known_length_does(
    model: OnnxGraphModel,
    shape: tuple[int, ...],
    fits: bool,  # noqa: FBT001
):
    assert model.inputs[0].accepts(shape) is fits


def test_wrong_arrays_fail_with_the_file(model: OnnxGraphModel):
    with pytest.raises(RuntimeFailedError, match=r"model\.onnx: ONNX Runtime failed"):
        model.run({"features": np.zeros((2, 5), np.float32)})


def test_an_output_of_other_rows_is_found_out(tmp_path: Path):
    nodes = [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)]
    ports = {"x": (FLOAT, ["N", 2])}, {"y": (FLOAT, ["M", 2])}

    model = OnnxGraphModel(save(tmp_path / "twice.onnx", nodes, *ports))

    with pytest.raises(RuntimeFailedError, match=r"y has shape \(6, 2\) for 3 rows"):
        model.run({"x": np.ones((3, 2), np.float32)})


@pytest.mark.parametrize(
    ("side", "shapes"),
    [
        pytest.param("input x has shape [1, 4]", ([1, 4], [1, 4]), id="input"),
        pytest.param("input x has shape []", ([], []), id="scalar"),
    ],
)
def test_a_batch_of_fixed_size_is_refused(tmp_path: Path, side: str, shapes: tuple[list, list]):
    path = identity(tmp_path / "fixed.onnx", FLOAT, *shapes)

    with pytest.raises(ModelError) as raised:
        OnnxGraphModel(path)

    assert f"{path}: {side}, whose first axis is not dynamic" in str(raised.value)


def test_types_that_nobody_can_send_are_refused(tmp_path: Path):
    path = identity(tmp_path / "complex.onnx", TensorProto.BFLOAT16, ["N"])

    with pytest.raises(ModelError, match=r"input x is a tensor\(bfloat16\)"):
        OnnxGraphModel(path)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(b"not a graph")

    with pytest.raises(ModelError, match=r"model\.onnx: ONNX Runtime cannot load"):
        OnnxGraphModel(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="no such file"):
        OnnxGraphModel(tmp_path / "other.onnx")
