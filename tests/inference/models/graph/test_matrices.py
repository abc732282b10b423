import dataclasses

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from inference.models.graph.matrices import (
    INT4,
    INT8,
    Matrices,
    Scales,
    WholeNumbers,
    in_blocks,
    quantise,
    rounded,
)
from inference.models.graph.nodes import Nodes
from inference.models.precision import Precision
from inference.models.spec import ModelError

MATRIX = np.random.default_rng(1).standard_normal((96, 40)).astype(np.float32)
ROWS = np.random.default_rng(2).standard_normal((8, 96)).astype(np.float32)


def product_graph(
    precision: Precision, input_scale: float | None = None, scales: np.ndarray | None = None
) -> ModelProto:
    graph = Nodes()
    x = graph.input("x", TensorProto.FLOAT, ["B", 96])
    y = graph.output("y", TensorProto.FLOAT, ["B", 40])
    given = Scales(input_scale, scales)
    Matrices(graph, precision).product(x, "matrix", MATRIX, scales=given, out=y)
    return graph.model(23)


def computed(model: ModelProto, rows: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "4")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (result,) = session.run(None, {"x": rows})
    return result


@pytest.mark.parametrize("numbers", [INT8, INT4], ids=["int8", "int4"])
@given(
    inputs=st.integers(1, 200), outputs=st.integers(1, 9), scale=st.sampled_from([1e-9, 1.0, 1e6])
)
@settings(max_examples=40, deadline=None)
def test_rounding_is_off_by_half_a_step_at_most(
    numbers: WholeNumbers, inputs: int, outputs: int, scale: float
):
    drawn = np.random.default_rng(inputs).standard_normal((inputs, outputs)) * scale
    matrix = drawn.astype(np.float32)
    whole, scales = quantise(matrix, numbers)
    step = np.repeat(scales, numbers.block_of(inputs), axis=0)[:inputs]

    assert np.abs(whole).max() <= numbers.largest
    assert (np.abs(rounded(matrix, numbers) - matrix) <= 0.501 * step).all()


def test_zeros_stay_zeros():
    assert not rounded(np.zeros((64, 3), np.float32), INT8).any()


@pytest.mark.parametrize(
    ("inputs", "block"),
    [
        pytest.param(384, 64, id="even"),
        pytest.param(48, 16, id="smaller blocks divide it"),
        pytest.param(50, 16, id="none divides it"),
    ],
)
def test_blocks_divide_the_inputs_if_they_can(inputs: int, block: int):
    assert INT8.block_of(inputs) == block


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT4])
def test_a_product_in_whole_numbers_is_that_with_the_rounded_matrix(precision: Precision):
    numbers = INT8 if precision is Precision.INT8 else INT4
    expected = ROWS @ rounded(MATRIX, numbers)

    np.testing.assert_allclose(computed(product_graph(precision), ROWS), expected, atol=0.2)


@pytest.mark.parametrize(
    "precision", [Precision.FP32, Precision.INT8, Precision.INT8_STATIC, Precision.INT4]
)
def test_a_product_does_not_depend_on_the_rows_beside_it(precision: Precision):
    model = product_graph(precision, input_scale=0.03)
    beside = ROWS * np.where(np.arange(8) == 3, 1, 100)[:, None].astype(np.float32)

    np.testing.assert_array_equal(computed(model, beside)[3], computed(model, ROWS)[3])
    np.testing.assert_array_equal(computed(model, ROWS[3:4])[0], computed(model, ROWS)[3])


def test_dynamic_int8_would_depend_on_them():
    """Why it is refused: one scale is found for all rows, so a neighbour changes one's answer."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["whole", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["whole", "scale", "zero"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 96])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", 96])]
    graph = helper.make_graph(nodes, "dynamic", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    beside = ROWS * np.where(np.arange(8) == 3, 1, 100)[:, None].astype(np.float32)

    assert (computed(model, beside)[3] != computed(model, ROWS)[3]).any()


@pytest.mark.parametrize(
    ("precision", "kind", "largest"),
    [
        pytest.param(Precision.FP8, ml_dtypes.float8_e4m3fn, 448, id="fp8"),
        pytest.param(Precision.INT8_STATIC, np.int8, 127, id="int8"),
    ],
)
def test_static_formats_round_matrix_and_inputs(precision: Precision, kind: type, largest: int):
    def kept(values: np.ndarray, scale: float | np.ndarray) -> np.ndarray:
        divided = values / scale
        return (np.rint(divided) if kind is np.int8 else divided).astype(kind) * scale

    scale = np.float32(np.abs(ROWS).max() / largest)
    expected = kept(ROWS, scale) @ kept(MATRIX, np.abs(MATRIX).max(0) / largest)

    result = computed(product_graph(precision, input_scale=float(scale)), ROWS)
    np.testing.assert_allclose(result, expected, atol=2e-3)


@pytest.mark.parametrize("precision", [Precision.FP8, Precision.INT8_STATIC])
def test_static_formats_need_calibrated_scales(precision: Precision):
    with pytest.raises(ModelError, match="needs a calibrated scale for what enters matrix"):
        product_graph(precision)


def test_the_scales_of_a_quantised_checkpoint_are_kept():
    sixteen = dataclasses.replace(INT4, block=16)
    _whole, scales = quantise(MATRIX, sixteen)
    expected = ROWS @ rounded(MATRIX, sixteen)

    result = computed(product_graph(Precision.INT4, scales=scales), ROWS)
    np.testing.assert_allclose(result, expected, atol=0.2)


@pytest.mark.parametrize(
    ("inputs", "groups", "blocks"),
    [
        pytest.param(256, 2, 2, id="a group is a block"),
        pytest.param(192, 1, 3, id="a group is cut into blocks"),
        pytest.param(1024, 1, 16, id="a whole output is cut into blocks"),
        pytest.param(50, 1, None, id="nothing divides it"),
        pytest.param(64, 8, None, id="too short to be fused"),
    ],
)
def test_groups_become_blocks_that_can_be_fused(inputs: int, groups: int, blocks: int | None):
    scales = np.arange(groups, dtype=np.float32)[:, None]
    found = in_blocks(scales, inputs, INT8)

    assert (None if found is None else len(found)) == blocks
    if found is not None and blocks is not None:
        np.testing.assert_array_equal(found, np.repeat(scales, blocks // groups, axis=0))
