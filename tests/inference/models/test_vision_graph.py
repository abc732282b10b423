from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from inference.models.vision import load_vision_spec, load_vision_weights
from inference.models.vision_graph import build_encoder
from tests.inference.seeing import VISION, write_seeing

CLIP = {
    "model_type": "clip_vision_model",
    "num_channels": 3,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
TOWERS = [
    pytest.param({}, -1, "full", id="siglip"),
    pytest.param({}, -2, "full", id="siglip without its last layer"),
    pytest.param({"hidden_act": "gelu", "num_channels": 3}, -1, "full", id="siglip in colour"),
    pytest.param(CLIP, -2, "default", id="clip as LLaVA 1.5 has it"),
    pytest.param(CLIP, -1, "full", id="clip with its class token"),
]


def encoder(folder: Path) -> tuple[onnx.ModelProto, "onnxruntime.InferenceSession"]:
    spec = load_vision_spec(folder)
    model = build_encoder(spec, load_vision_weights(folder, spec))
    onnx.checker.check_model(model, full_check=True)
    return model, onnxruntime.InferenceSession(model.SerializeToString())


def random_pixels(images: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    return rng.standard_normal((images, channels, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(("vision", "layer", "strategy"), TOWERS)
def test_it_agrees_with_transformers(tmp_path: Path, vision: dict, layer: int, strategy: str):
    torch = pytest.importorskip("torch", reason="transformers computes with torch")
    transformers = pytest.importorskip("transformers", reason="it is what we compare with")
    text = {
        "model_type": "llama",
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 64,
    }
    config = transformers.LlavaConfig(
        vision_config=VISION | vision,
        text_config=text,
        vision_feature_layer=layer,
        vision_feature_select_strategy=strategy,
    )
    torch.manual_seed(1)
    theirs = transformers.LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for tensor in theirs.parameters():  # as initialised, biases are 0 and norms 1
            tensor.copy_(torch.randn(tensor.shape) * 0.3)
    theirs.save_pretrained(tmp_path)
    pixels = random_pixels(3, config.vision_config.num_channels)
    with torch.no_grad():
        found = theirs.get_image_features(torch.tensor(pixels)).pooler_output

    _, session = encoder(tmp_path)
    embeddings = session.run(["embeddings"], {"pixels": pixels})[0]

    expected = torch.stack(list(found)).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(embeddings, expected, rtol=0, atol=1e-4)


def test_an_image_is_the_same_alone_and_in_a_batch(tmp_path: Path):
    _, session = encoder(write_seeing(tmp_path))
    pixels = random_pixels(5, 1)

    together = session.run(None, {"pixels": pixels})[0]
    alone = [session.run(None, {"pixels": one[None]})[0][0] for one in pixels]

    assert together.shape == (5, 16, 32)
    np.testing.assert_array_equal(together, np.stack(alone))


def test_only_standard_operators_are_used(tmp_path: Path):
    model, _ = encoder(write_seeing(tmp_path))

    assert {node.domain for node in model.graph.node} == {""}


@pytest.mark.parametrize("vision", [pytest.param({}, id="siglip"), pytest.param(CLIP, id="clip")])
def test_nvidias_builder_accepts_it(tmp_path: Path, vision: dict):
    tensorrt = pytest.importorskip("tensorrt_rtx", reason="it builds engines without a GPU")
    model, _ = encoder(write_seeing(tmp_path, vision=vision))
    log = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(log)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, log)
    parsed = parser.parse(model.SerializeToString())
    assert parsed, [parser.get_error(n).desc() for n in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(tensorrt.ComputeCapability.SM89, 0)
    profile = builder.create_optimization_profile()
    channels = vision.get("num_channels", 1)
    profile.set_shape("pixels", *[(images, channels, 8, 8) for images in (1, 4, 8)])
    config.add_optimization_profile(profile)

    assert builder.build_serialized_network(network, config) is not None
