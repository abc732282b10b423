"""Small real ONNX models: a classifier, one that adds sequences up, and one that reads texts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.inference.conftest import byte_tokenizer

COEFFICIENTS = np.array(
    [[2.0, -1.0, 0.5], [0.5, 1.5, -2.0], [-1.0, 0.0, 1.0], [0.3, 0.3, -0.6]], np.float32
)
INTERCEPTS = np.array([0.1, -0.2, 0.05], np.float32)
EMBEDDING = np.random.default_rng(4).standard_normal((264, 6)).astype(np.float32)
FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING

Ports = dict[str, tuple[int, Sequence[str | int]]]


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Ports,
    outputs: Ports,
    constants: dict[str, np.ndarray] | None = None,
) -> Path:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(name, *port) for name, port in inputs.items()],
        [helper.make_tensor_value_info(name, *port) for name, port in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def classifier(folder: Path) -> Path:
    """Logistic regression: 4 features to the probabilities of 3 classes, and the likeliest."""
    save(
        folder / "model.onnx",
        [
            helper.make_node("Gemm", ["features", "coefficients", "intercepts"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=-1, keepdims=0),
        ],
        {"features": (FLOAT, ["N", 4])},
        {"label": (INT64, ["N"]), "probabilities": (FLOAT, ["N", 3])},
        {"coefficients": COEFFICIENTS, "intercepts": INTERCEPTS},
    )
    return folder


def expected_probabilities(features: np.ndarray) -> np.ndarray:
    scores = np.exp(features @ COEFFICIENTS + INTERCEPTS)
    return scores / scores.sum(axis=1, keepdims=True)


def adder(folder: Path) -> Path:
    """Sums of sequences of any length."""
    save(
        folder / "model.onnx",
        [helper.make_node("ReduceSum", ["series", "axis"], ["sum"], keepdims=0)],
        {"series": (FLOAT, ["N", "T"])},
        {"sum": (FLOAT, ["N"])},
        {"axis": np.array([1], np.int64)},
    )
    return folder


def text_encoder(folder: Path, *, segments: bool = False) -> Path:
    """Each token's state is its own embedding plus the mean of all that are not masked."""
    inputs: Ports = {"input_ids": (INT64, ["N", "T"]), "attention_mask": (INT64, ["N", "T"])}
    own, added = "own", []
    if segments:
        inputs["token_type_ids"] = (INT64, ["N", "T"])
        added = [
            helper.make_node("Gather", ["table", "token_type_ids"], ["kinds"]),
            helper.make_node("Add", ["own", "kinds"], ["both"]),
        ]
        own = "both"
    save(
        folder / "model.onnx",
        [
            helper.make_node("Gather", ["table", "input_ids"], ["own"]),
            *added,
            helper.make_node("Unsqueeze", ["attention_mask", "last"], ["column"]),
            helper.make_node("Cast", ["column"], ["shown"], to=FLOAT),
            helper.make_node("Mul", [own, "shown"], ["visible"]),
            helper.make_node("ReduceSum", ["visible", "tokens"], ["total"]),
            helper.make_node("ReduceSum", ["shown", "tokens"], ["count"]),
            helper.make_node("Div", ["total", "count"], ["mean"]),
            helper.make_node("Add", [own, "mean"], ["last_hidden_state"]),
        ],
        inputs,
        {"last_hidden_state": (FLOAT, ["N", "T", 6])},
        {"table": EMBEDDING, "last": np.array([-1], np.int64), "tokens": np.array([1], np.int64)},
    )
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def expected_vector(tokens: Sequence[int]) -> np.ndarray:
    """The mean of the states is twice the mean of the embeddings; then length 1."""
    mean = EMBEDDING[list(tokens)].mean(axis=0)
    return mean / np.linalg.norm(mean)
