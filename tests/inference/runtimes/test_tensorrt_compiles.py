"""NVIDIA's own builder takes every graph that we write; TensorRT for RTX needs no GPU to build."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from inference.models.checkpoint import Weights, layer_names
from inference.models.graph.decoder import build_decoder
from inference.models.graph.matrices import Matrices
from inference.models.graph.nodes import Nodes
from inference.models.precision import Lowering, Precision
from inference.models.spec import ModelSpec
from inference.models.vision import CLIP, SIGLIP, VisionSpec, vision_shapes
from inference.models.vision_graph import PIXELS, build_encoder
from inference.runtimes.engines import Profile, ShapeRange
from inference.runtimes.probe import Gpu
from inference.runtimes.runtime import RuntimeFailedError, RuntimeMissingError
from inference.runtimes.shapes import ShapeLimits
from inference.runtimes.tensorrt_graph import DecoderGraph
from inference.runtimes.tensorrt_library import TensorRTLibrary
from tests.inference.conftest import random_tensors, tiny

trt = pytest.importorskip(
    "tensorrt_rtx", reason="compiling for GPUs needs tensorrt-rtx: pip install tensorrt-rtx"
)

LIMITS = ShapeLimits(decode_rows=8, prefill_rows=2, chunk=32)
GPUS = {
    sm: Gpu(0, f"any {sm}", architecture, 1 << 30)
    for sm, architecture in {"SM86": (8, 6), "SM89": (8, 9), "SM120": (12, 0)}.items()
}
SIGHT: dict[str, Any] = {
    "channels": 1,
    "image_size": 8,
    "patch_size": 2,
    "hidden": 32,
    "layers": 2,
    "depth": 2,
    "heads": 4,
    "feed_forward": 64,
    "norm_eps": 1e-6,
    "text_hidden": 32,
}
GELU = {SIGLIP: "gelu_pytorch_tanh", CLIP: "quick_gelu"}
FAMILIES = ("llama", "llama-untied", "mistral", "qwen2", "qwen3", "llava")
OURS = (Lowering.KVUPDATE, Lowering.HOSTKV)  # those that the runtime uses
EVERYWHERE = tuple(one for one in Precision if one not in (Precision.FP16, Precision.FP8))


@pytest.fixture(scope="module")
def library() -> TensorRTLibrary:
    return TensorRTLibrary(trt)


def weights_of(spec: ModelSpec) -> Weights:
    return {name: array.astype(np.float32) for name, array in random_tensors(spec, 1).items()}


def compile_for(
    library: TensorRTLibrary,
    family: str,
    sm: str,
    *,
    lowering: Lowering = Lowering.KVUPDATE,
    precision: Precision = Precision.FP16,
) -> bytes:
    spec = tiny(family)
    size = spec.positions + LIMITS.chunk if lowering is Lowering.KVUPDATE else 16
    graph = DecoderGraph(spec, lowering, precision, size, LIMITS)
    profiles = graph.profiles(GPUS[sm].memory_bytes)
    if lowering is Lowering.PAGED:
        profiles = [{**profile, "slots": profile["tokens"]} for profile in profiles]
    return library.compile(
        graph.build(weights_of(spec), dict.fromkeys(layer_names(spec), 0.02)), profiles, GPUS[sm]
    )


def covering(firsts: tuple[Any, ...], seconds: tuple[Any, ...], thirds: tuple[Any, ...]) -> Any:
    """Every first with every second; every second with every third, by turns."""
    return [
        (first, second, thirds[(row + column) % len(thirds)])
        for row, first in enumerate(firsts)
        for column, second in enumerate(seconds)
    ]


@pytest.mark.parametrize(
    ("family", "lowering", "sm"),
    [*covering(FAMILIES, OURS, tuple(GPUS)), ("qwen3", Lowering.PAGED, "SM89")],
)
def test_every_family_compiles_in_every_lowering(
    library: TensorRTLibrary, family: str, lowering: Lowering, sm: str
):
    assert compile_for(library, family, sm, lowering=lowering)


@pytest.mark.parametrize(
    ("precision", "lowering", "sm"),
    [
        *covering(EVERYWHERE, OURS, tuple(GPUS)),
        *covering((Precision.FP8,), OURS, ("SM89", "SM120")),
    ],
)
def test_every_precision_compiles(
    library: TensorRTLibrary, precision: Precision, lowering: Lowering, sm: str
):
    assert compile_for(library, "llama", sm, lowering=lowering, precision=precision)


@pytest.mark.parametrize("family", [SIGLIP, CLIP])
def test_the_vision_encoder_compiles(library: TensorRTLibrary, family: str):
    spec = VisionSpec(**SIGHT, family=family, activation=GELU[family], projector_activation="gelu")
    rng = np.random.default_rng(2)
    weights = {
        name: rng.standard_normal(shape).astype(np.float32) * 0.1
        for name, shape in vision_shapes(spec).items()
    }
    size = (spec.channels, spec.image_size, spec.image_size)
    images = ShapeRange((1, *size), (2, *size), (8, *size))

    assert library.compile(build_encoder(spec, weights), [{PIXELS: images}], GPUS["SM89"])


def test_weights_of_fewer_bits_make_a_smaller_engine(library: TensorRTLibrary):
    """The matrices stay quantised: were they unfolded, both engines would be of one size."""
    wide = [
        plan_of_one_product(library, precision) for precision in (Precision.FP16, Precision.INT8)
    ]

    assert len(wide[1]) < 0.7 * len(wide[0])


def plan_of_one_product(library: TensorRTLibrary, precision: Precision) -> bytes:
    nodes = Nodes(np.dtype(np.float16), TensorProto.INT32)
    nodes.input("x", TensorProto.FLOAT16, ["B", 1024])
    nodes.output("y", TensorProto.FLOAT16, ["B", 2048])
    matrix = np.random.default_rng(0).standard_normal((1024, 2048)).astype(np.float32)
    Matrices(nodes, precision).product("x", "matrix", matrix, out="y")
    shapes = ShapeRange((1, 1024), (4, 1024), (8, 1024))
    return library.compile(nodes.model(23), [{"x": shapes}], GPUS["SM89"])


def test_a_model_too_large_for_one_message_goes_by_way_of_a_file(library: TensorRTLibrary):
    by_file = TensorRTLibrary(trt, largest_message=0)
    sizes = [len(compile_for(one, "llama", "SM89")) for one in (library, by_file)]

    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)


# The traps.


def attention_graph(*, lengths: bool) -> tuple[onnx.ModelProto, Profile]:
    """One attention over a cache of 64, told how much of it is filled, or not."""
    inputs = {"query": 1, "keys": 64, "values": 64}
    node = helper.make_node(
        "Attention", [*inputs, "", "", "", "lengths"][: 7 if lengths else 3], ["y"]
    )
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT16, ["B", 4, size, 64])
        for name, size in inputs.items()
    ]
    profile = {
        name: ShapeRange((1, 4, size, 64), (2, 4, size, 64), (4, 4, size, 64))
        for name, size in inputs.items()
    }
    if lengths:
        tensors.append(helper.make_tensor_value_info("lengths", TensorProto.INT64, ["B"]))
        profile["lengths"] = ShapeRange((1,), (2,), (4,))
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT16, ["B", 4, 1, 64])
    graph = helper.make_graph([node], "attention", tensors, [out])
    opsets = [helper.make_opsetid("", 24)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=11), profile


def test_lengths_that_the_parser_drops_without_a_word_are_an_error_here(library: TensorRTLibrary):
    """It takes `nonpad_kv_seqlen` and attends over the whole cache all the same."""
    model, profile = attention_graph(lengths=True)

    with pytest.raises(RuntimeFailedError, match=r"would ignore part of the model.*lengths"):
        library.compile(model, [profile], GPUS["SM89"])


def test_the_same_attention_without_lengths_compiles(library: TensorRTLibrary):
    model, profile = attention_graph(lengths=False)

    assert library.compile(model, [profile], GPUS["SM89"])


def parsed(library: TensorRTLibrary, model: onnx.ModelProto) -> Any:
    builder = trt.Builder(library._logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(network, library._logger).parse(model.SerializeToString())
    return network, builder


@pytest.mark.parametrize(("lowering", "updates"), [(Lowering.KVUPDATE, 4), (Lowering.HOSTKV, 0)])
def test_keys_and_values_are_updated_in_place_or_not_at_all(
    library: TensorRTLibrary, lowering: Lowering, updates: int
):
    """ScatterND on a pool would copy it whole in every layer of every step."""
    spec = tiny("llama")
    graph = DecoderGraph(spec, lowering, Precision.FP16, 16, LIMITS)
    network, _builder = parsed(library, graph.build(weights_of(spec), None))
    kinds = [network.get_layer(at).type for at in range(network.num_layers)]

    assert kinds.count(trt.LayerType.KV_CACHE_UPDATE) == updates
    assert trt.LayerType.SCATTER not in kinds


@pytest.mark.parametrize("lowering", OURS)
def test_no_input_is_64_bits_wide(library: TensorRTLibrary, lowering: Lowering):
    spec = tiny("llava")
    graph = DecoderGraph(spec, lowering, Precision.FP16, 16, LIMITS)
    network, _builder = parsed(library, graph.build(weights_of(spec), None))
    kinds = {network.get_input(at).dtype for at in range(network.num_inputs)}

    assert kinds == {trt.int32, trt.float16, trt.float32}


def test_fp8_is_refused_by_a_gpu_without_it(library: TensorRTLibrary):
    with pytest.raises(RuntimeFailedError, match="sm86"):
        compile_for(library, "llama", "SM86", precision=Precision.FP8)


def test_an_architecture_that_the_library_lacks_points_to_tensorrt(library: TensorRTLibrary):
    hopper = Gpu(0, "NVIDIA H200", (9, 0), 141 << 30)

    with pytest.raises(
        RuntimeMissingError, match=r"does not know NVIDIA H200 \(SM90\).*use tensorrt:"
    ):
        library.require(hopper)


def test_an_operator_that_the_parser_lacks_is_named(library: TensorRTLibrary):
    spec = tiny("llama")
    model = build_decoder(spec, weights_of(spec), block_size=256, lowering=Lowering.GQA)

    with pytest.raises(RuntimeFailedError, match=r"cannot take the model.*GroupQueryAttention"):
        library.compile(model, [], GPUS["SM89"])


def test_attention_over_packed_sequences_is_refused(library: TensorRTLibrary):
    """The interface offers it, the builder has no kernel: batches are padded instead."""
    builder = trt.Builder(library._logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    packed = [network.add_input(name, trt.float16, (-1, 4, 64)) for name in "qkv"]
    ends = network.add_input("ends", trt.int32, (-1,))
    norm, causal = trt.AttentionNormalizationOp.SOFTMAX, trt.CausalMaskKind.NONE
    attention = network.add_attention_v2(*packed, norm, causal)
    attention.query_form = attention.key_value_form = trt.AttentionIOForm.PACKED_NHD
    attention.query_lengths = attention.key_value_lengths = ends
    network.mark_output(attention.get_output(0))
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    for name in "qkv":
        profile.set_shape(name, (1, 4, 64), (16, 4, 64), (64, 4, 64))
    profile.set_shape("ends", (2,), (5,), (9,))
    config.add_optimization_profile(profile)
    library._aim(config, GPUS["SM89"])

    assert builder.build_serialized_network(network, config) is None
