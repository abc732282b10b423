import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.models.precision import Precision
from inference.models.quantized import (
    Quantization,
    describe,
    pack,
    quantization_of,
    restored,
    rounded,
    stored,
    unpack,
)

MATRIX = np.random.default_rng(5).standard_normal((6, 64)).astype(np.float32)
KINDS = [
    Quantization(Precision.INT8, 32),
    Quantization(Precision.INT4, 16),
    Quantization(Precision.INT8_STATIC),
    Quantization(Precision.FP8),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.precision.value)


@given(
    bits=st.sampled_from([4, 8]), rows=st.integers(1, 4), columns=st.integers(1, 40),
    seed=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_what_is_packed_is_unpacked(bits: int, rows: int, columns: int, seed: int):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)
    values = np.random.default_rng(seed).integers(low, high, (rows, columns)).astype(np.int8)

    np.testing.assert_array_equal(unpack(pack(values, bits), bits, columns), values)


@pytest.mark.parametrize(
    ("bits", "values", "word"),
    [
        pytest.param(8, [-128, -127, 0, 127], 0xFF800100, id="8 bits"),
        pytest.param(4, [-8, -7, 0, 1, 2, 3, 4, 7], 0xFCBA9810, id="4 bits"),
    ],
)
def test_the_first_number_lies_in_the_lowest_bits(bits: int, values: list[int], word: int):
    packed = pack(np.array([values], np.int8), bits)

    assert packed.view(np.uint32).tolist() == [[word]]


@each_kind
def test_a_kept_matrix_comes_back_as_what_its_numbers_stand_for(kind: Quantization):
    numbers, scales = rounded(MATRIX, kind)
    step = scales.astype(np.float32).repeat(64 // scales.shape[1], axis=1)
    back = dict(restored(stored("one.weight", MATRIX, kind).items(), kind))

    assert back.keys() == {"one.weight", "one.weight_scale"}
    np.testing.assert_array_equal(back["one.weight"], numbers.astype(np.float32) * step)
    np.testing.assert_array_equal(back["one.weight_scale"], scales.astype(np.float32))


@each_kind
def test_rounding_loses_little(kind: Quantization):
    worst = {Precision.INT8: 0.01, Precision.INT4: 0.15}.get(kind.precision, 0.03)
    back = dict(restored(stored("one.weight", MATRIX, kind).items(), kind))["one.weight"]

    assert np.linalg.norm(back - MATRIX) < worst * np.linalg.norm(MATRIX)


def test_of_four_bits_the_scale_is_chosen_by_what_is_lost():
    kind = Quantization(Precision.INT4, 16)
    back = dict(restored(stored("one.weight", MATRIX, kind).items(), kind))["one.weight"]
    groups = MATRIX.reshape(6, 4, 16)
    plain = np.abs(groups).max(2, keepdims=True) / 7
    naive = (np.rint(groups / plain) * plain).reshape(MATRIX.shape)

    assert np.linalg.norm(back - MATRIX) < 0.95 * np.linalg.norm(naive - MATRIX)


def test_zeros_stay_zeros():
    kind = Quantization(Precision.INT4, 16)
    back = dict(restored(stored("one.weight", 0 * MATRIX, kind).items(), kind))

    assert not back["one.weight"].any()


def test_the_layout_is_that_of_compressed_tensors():
    packed = stored("one.weight", MATRIX, Quantization(Precision.INT4, 16))
    plain = stored("one.weight", MATRIX, Quantization(Precision.FP8))

    assert {name: (one.dtype, one.shape) for name, one in packed.items()} == {
        "one.weight_packed": (np.int32, (6, 8)),
        "one.weight_scale": (np.float16, (6, 4)),
        "one.weight_shape": (np.int64, (2,)),
    }
    assert {name: (one.dtype, one.shape) for name, one in plain.items()} == {
        "one.weight": (ml_dtypes.float8_e4m3fn, (6, 64)),
        "one.weight_scale": (np.float16, (6, 1)),
    }


@each_kind
def test_a_description_is_understood_again(kind: Quantization):
    config = json.loads(json.dumps({"quantization_config": describe(kind)}))

    assert quantization_of(config) == kind


def test_a_plain_checkpoint_is_not_quantised():
    assert quantization_of({"model_type": "llama"}) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"quant_method": "awq"}, "'awq' is not supported", id="method"),
        pytest.param({"format": "marlin-24"}, "format 'marlin-24' with 8 bits", id="format"),
        pytest.param({"config_groups": {}}, "config_groups, got 0", id="no group"),
        pytest.param(
            {"weights": {"symmetric": False}}, "only symmetric weights", id="zero points"
        ),
        pytest.param({"weights": {"num_bits": 3}}, "with 3 bits", id="bits"),
        pytest.param(
            {"input_activations": {"dynamic": True}}, "only fixed scales", id="dynamic activations"
        ),
        pytest.param({"input_activations": None}, "only fixed scales", id="weights only"),
    ],
)
def test_what_is_not_understood_is_refused(changes: dict[str, object], reason: str):
    config = describe(Quantization(Precision.FP8))
    group = config["config_groups"]["group_0"]
    group["weights"] |= changes.pop("weights", {})
    if "input_activations" in changes:
        group["input_activations"] = changes.pop("input_activations")

    with pytest.raises(ValueError, match=reason):
        quantization_of({"quantization_config": config | changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"weight_scale": None}, r"one\.weight is incomplete", id="no scales"),
        pytest.param({"weight_packed": None}, r"one\.weight is incomplete", id="no numbers"),
        pytest.param(
            {"weight_packed": np.zeros((6, 3), np.int32)}, r"\(6, 8\), got \(6, 3\)", id="cut"
        ),
        pytest.param(
            {"weight_shape": np.array([6, 640])}, r"expected packed words of shape \(6, 80\)",
            id="shape",
        ),
        pytest.param({"weight_shape": np.array([6])}, "weight_shape of 2 numbers", id="no shape"),
        pytest.param(
            {"weight_packed": np.zeros((0, 8), np.int32), "weight_shape": np.array([0, 64])},
            "do not divide a matrix", id="nothing",
        ),
        pytest.param(
            {"weight_scale": np.ones((6, 0), np.float16)}, "do not divide a matrix", id="no scale"
        ),
        pytest.param(
            {"weight_scale": np.ones((6, 5), np.float16)}, "do not divide a matrix", id="scales"
        ),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_named(changes: dict[str, np.ndarray | None], reason: str):
    kind = Quantization(Precision.INT4, 16)
    changed = {f"one.{name}": array for name, array in changes.items()}
    parts = stored("one.weight", MATRIX, kind) | changed
    there = {name: array for name, array in parts.items() if array is not None}

    with pytest.raises(ValueError, match=reason):
        dict(restored(there.items(), kind))


def test_matrices_that_were_left_alone_stay(tmp_path: Path):
    kind = Quantization(Precision.INT8, 32)
    back = dict(restored([("lm_head.weight", MATRIX)], kind))

    assert back["lm_head.weight"] is MATRIX
