import dataclasses

import onnx
import pytest

from inference.models.checkpoint import Weights
from inference.models.graph import OPSET, build_decoder, pool_names
from inference.models.spec import ModelSpec


@pytest.fixture(scope="module")
def model(spec: ModelSpec, weights: Weights) -> onnx.ModelProto:
    return build_decoder(spec, weights, block_size=16)


def test_the_graph_is_valid_and_its_shapes_agree(model: onnx.ModelProto):
    onnx.checker.check_model(model, full_check=True)


def test_only_standard_operators_are_used(model: onnx.ModelProto):
    assert [(one.domain, one.version) for one in model.opset_import] == [("", OPSET)]
    assert {node.domain for node in model.graph.node} == {""}


def test_pools_are_scattered_straight_from_input_to_output(
    model: onnx.ModelProto, spec: ModelSpec
):
    scattered = {
        node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "ScatterND"
    }

    assert scattered == {name: f"{name}_out" for name in pool_names(spec)}
    assert scattered.keys() <= {value.name for value in model.graph.input}
    assert set(scattered.values()) <= {value.name for value in model.graph.output}


def test_a_tied_head_is_the_embedding_transposed(model: onnx.ModelProto, spec: ModelSpec):
    names = {one.name: tuple(one.dims) for one in model.graph.initializer}

    assert names["model.embed_tokens.T"] == (spec.hidden, spec.vocabulary)
    assert not any("lm_head" in name for name in names)


def test_every_sharing_of_heads_can_be_built(spec: ModelSpec, weights: Weights):
    for kv_heads in (1, 4):
        shared = dataclasses.replace(spec, kv_heads=kv_heads)
        resized = {
            name: array[: shared.keys].repeat(-(-shared.keys // len(array)), 0)
            if name.endswith(("k_proj.weight", "v_proj.weight"))
            else array
            for name, array in weights.items()
        }
        onnx.checker.check_model(build_decoder(shared, resized, block_size=8), full_check=True)
