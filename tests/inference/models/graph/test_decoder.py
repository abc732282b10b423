import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from inference.models.checkpoint import Weights, layer_names
from inference.models.graph.attention import kv_names
from inference.models.graph.decoder import build_decoder
from inference.models.graph.nodes import CONTRIB
from inference.models.precision import Lowering, Precision
from inference.models.spec import ModelSpec
from tests.inference.conftest import FAMILIES, random_tensors, tiny

STANDARD = [one for one in Lowering if one is not Lowering.GQA]


def built(spec: ModelSpec, weights: Weights, **options: object) -> onnx.ModelProto:
    return build_decoder(spec, weights, **{"block_size": 16} | options)


def inputs_of(model: onnx.ModelProto) -> dict[str, int]:
    return {one.name: one.type.tensor_type.elem_type for one in model.graph.input}


def nodes_of(model: onnx.ModelProto, kind: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == kind]


@pytest.mark.parametrize("lowering", Lowering)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_graph_of_every_family_is_valid_and_its_shapes_agree(lowering: Lowering, family: str):
    spec = tiny(family)
    weights = {name: one.astype(np.float32) for name, one in random_tensors(spec, 7).items()}

    onnx.checker.check_model(built(spec, weights, lowering=lowering), full_check=True)


@pytest.mark.parametrize("lowering", Lowering)
@pytest.mark.parametrize("precision", Precision)
def test_the_graph_of_every_precision_is_valid(
    spec: ModelSpec, weights: Weights, lowering: Lowering, precision: Precision
):
    scales = dict.fromkeys(layer_names(spec), 0.01)
    model = built(spec, weights, lowering=lowering, precision=precision, activation_scales=scales)

    onnx.checker.check_model(model, full_check=True)
    (logits,) = (one for one in model.graph.output if one.name == "logits")
    assert logits.type.tensor_type.elem_type == TensorProto.FLOAT


@pytest.mark.parametrize("lowering", STANDARD)
def test_only_standard_operators_are_used(spec: ModelSpec, weights: Weights, lowering: Lowering):
    model = built(spec, weights, lowering=lowering)

    assert [one.domain for one in model.opset_import] == [""]
    assert {node.domain for node in model.graph.node} == {""}


def test_gqa_uses_one_operator_of_onnx_runtimes_own(spec: ModelSpec, weights: Weights):
    model = built(spec, weights, lowering=Lowering.GQA)

    own = [node.op_type for node in model.graph.node if node.domain == CONTRIB]
    assert own == ["GroupQueryAttention"] * spec.layers


@pytest.mark.parametrize(
    ("lowering", "kind"),
    [
        pytest.param(Lowering.PAGED, "ScatterND", id="paged"),
        pytest.param(Lowering.ROWS, "ScatterND", id="rows"),
        pytest.param(Lowering.KVUPDATE, "TensorScatter", id="kvupdate"),
    ],
)
def test_the_cache_is_written_straight_from_input_to_output(
    spec: ModelSpec, weights: Weights, lowering: Lowering, kind: str
):
    model = built(spec, weights, lowering=lowering)
    written = {node.input[0]: node.output[0] for node in nodes_of(model, kind)}

    assert written == {name: f"{name}_out" for name in kv_names(spec)}
    assert written.keys() <= {value.name for value in model.graph.input}
    assert set(written.values()) <= {value.name for value in model.graph.output}


def test_the_cache_is_only_read_where_the_runtime_appends(spec: ModelSpec, weights: Weights):
    model = built(spec, weights, lowering=Lowering.HOSTKV)

    assert not nodes_of(model, "ScatterND")
    outputs = {value.name for value in model.graph.output}
    assert outputs == {"logits", *(f"{name}_new" for name in kv_names(spec))}
    assert "slots" not in inputs_of(model)


def test_attention_masks_by_an_explicit_mask(spec: ModelSpec, weights: Weights):
    """TensorRT ignores the other ways to say which keys are there."""
    for node in nodes_of(built(spec, weights, lowering=Lowering.KVUPDATE), "Attention"):
        assert len(node.input) == 4
        assert node.input[3]
        assert [one.name for one in node.attribute] == ["scale"]


@pytest.mark.parametrize("lowering", STANDARD)
def test_no_input_is_int64_where_int32_is_asked_for(lowering: Lowering):
    spec = tiny("llava")
    weights = {name: one.astype(np.float32) for name, one in random_tensors(spec, 7).items()}
    model = built(spec, weights, lowering=lowering, index_type=TensorProto.INT32)

    onnx.checker.check_model(model, full_check=True)
    assert TensorProto.INT64 not in inputs_of(model).values()


def test_the_cache_is_kept_in_what_is_computed_in(spec: ModelSpec, weights: Weights):
    model = built(spec, weights, precision=Precision.INT8, compute=Precision.BF16)

    assert inputs_of(model)["keys_0"] == TensorProto.BFLOAT16


def test_a_tied_head_is_the_embedding_transposed(spec: ModelSpec, weights: Weights):
    model = built(spec, weights)
    names = {one.name: tuple(one.dims) for one in model.graph.initializer}

    assert names["lm_head"] == (spec.hidden, spec.vocabulary)
    assert names["model.embed_tokens"] == (spec.vocabulary, spec.hidden)


def test_images_are_inputs_only_where_the_model_sees(spec: ModelSpec, weights: Weights):
    seeing = dataclasses.replace(spec, image_token=5)

    assert {"image_rows", "image_values"} <= inputs_of(built(seeing, weights)).keys()
    assert not {"image_rows", "image_values"} & inputs_of(built(spec, weights)).keys()


@pytest.mark.parametrize("precision", [Precision.FP8, Precision.INT8_STATIC])
def test_the_scales_of_a_calibrated_checkpoint_are_used(
    spec: ModelSpec, weights: Weights, precision: Precision
):
    kept = {f"{name}.input_scale": np.full(1, 0.02, np.float32) for name in layer_names(spec)}
    given = dict.fromkeys(layer_names(spec), 0.02)
    from_file = built(spec, weights | kept, precision=precision)

    assert from_file == built(spec, weights, precision=precision, activation_scales=given)
