import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from inference.models.verify import Finding, Severity, verify
from tests.inference.conftest import FAMILIES, tiny, write_checkpoint

EYES = {
    "model_type": "clip_vision_model",
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}


@pytest.fixture
def folder(new_checkpoint: Callable[..., Path]) -> Path:
    return new_checkpoint()


def change(path: Path, **fields: object) -> None:
    old = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(old | fields))


def store(folder: Path, **tensors: np.ndarray | None) -> None:
    merged = load_file(folder / "model.safetensors") | tensors
    kept = {name: array for name, array in merged.items() if array is not None}
    save_file(kept, folder / "model.safetensors")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_model_has_no_findings(tmp_path: Path, family: str):
    assert verify(write_checkpoint(tmp_path, tiny(family))) == []


def test_an_empty_folder_lacks_its_files(tmp_path: Path):
    findings = verify(tmp_path)

    assert {one.severity for one in findings} == {Severity.ERROR}
    assert [one.file for one in findings] == ["config.json", "tokenizer.json"]


def test_every_wrong_tensor_is_found(folder: Path):
    store(folder, **{
        "model.norm.weight": np.zeros(31, np.float16),
        "model.layers.0.input_layernorm.weight": np.full(32, np.inf, np.float16),
        "model.layers.1.input_layernorm.weight": None,
        "model.extra": np.zeros(3, np.float16),
    })  # fmt: skip

    said = " ".join(one.message for one in verify(folder))

    assert [one.file for one in verify(folder)] == ["model.safetensors"] * 4
    assert "model.norm.weight has shape (31,)" in said
    assert "layers.0.input_layernorm.weight holds values that are not finite" in said
    assert "layers.1.input_layernorm.weight missing" in said
    assert "model.extra is no part of the model" in said


def test_a_truncated_file_is_one_finding(folder: Path):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])

    (only,) = verify(folder)

    assert (only.severity, only.file) == (Severity.ERROR, "model.safetensors")
    assert "cannot be read as safetensors" in only.message


def test_a_file_that_breaks_off_is_not_called_incomplete_too(folder: Path):
    store(folder, **{"model.norm.weight": np.ones(32, np.int8)})

    (only,) = verify(folder)

    assert "model.norm.weight is stored as I8" in only.message


def test_the_template_is_named_where_it_stands(folder: Path):
    (folder / "chat_template.jinja").write_text("{{ missing.part }}")

    (only,) = verify(folder)

    assert (only.severity, only.file) == (Severity.WARNING, "chat_template.jinja")


def test_the_other_files_are_checked_though_the_config_is_broken(folder: Path):
    change(folder / "config.json", model_type="mamba")
    (folder / "tokenizer.json").write_text("{}")
    change(folder / "generation_config.json", top_p=7)

    files = [one.file for one in verify(folder)]

    assert files == ["config.json", "tokenizer.json", "generation_config.json"]


@pytest.mark.parametrize(
    ("file", "fields", "finding"),
    [
        pytest.param(
            "config.json",
            {"eos_token_id": None},
            ("warning", "config.json", "every answer ends at its length limit"),
            id="no end",
        ),
        pytest.param(
            "config.json",
            {"eos_token_id": 256},
            ("warning", "config.json", "has no 257, which is the tokenizer's eos_token '<|end|>'"),
            id="another end",
        ),
        pytest.param(
            "generation_config.json",
            {"eos_token_id": 9000},
            ("warning", "config.json", "eos_token_id 9000 is outside the vocabulary of 264"),
            id="an end that cannot come",
        ),
        pytest.param(
            "tokenizer_config.json",
            {"bos_token": "<s>"},
            ("warning", "tokenizer_config.json", "bos_token '<s>' is not in tokenizer.json"),
            id="unknown special token",
        ),
        pytest.param(
            "tokenizer_config.json",
            {"chat_template": None},
            ("warning", "tokenizer_config.json", "this model has no chat template"),
            id="no chat template",
        ),
        pytest.param(
            "tokenizer_config.json",
            {"chat_template": "{{ missing.part }}"},
            ("warning", "tokenizer_config.json", "the model's chat template refuses"),
            id="a chat template that fails",
        ),
        pytest.param(
            "config.json",
            {"rope_scaling": {"rope_type": "yarn", "factor": 2.0,
                              "original_max_position_embeddings": 64}},
            ("warning", "config.json", "256 is beyond the 128 positions"),
            id="a context beyond its scaling",
        ),
    ],
)  # fmt: skip
def test_what_is_odd_is_found(
    folder: Path, file: str, fields: dict[str, object], finding: tuple[str, str, str]
):
    change(folder / file, **fields)

    (only,) = verify(folder)

    assert (only.severity, only.file) == finding[:2]
    assert finding[2] in only.message


def test_a_tokenizer_of_another_model_is_an_error(new_checkpoint: Callable[..., Path]):
    folder = new_checkpoint(vocabulary=200, stop_tokens=frozenset({199}))

    assert verify(folder)[0] == Finding(
        Severity.ERROR, "tokenizer.json", "the tokenizer has 258 tokens, the model 200"
    )


def test_eyes_are_checked_too(tmp_path: Path):
    folder = write_checkpoint(tmp_path, tiny("llava"))
    change(folder / "config.json", vision_config=EYES)
    size, half = {"height": 8, "width": 8}, [0.5, 0.5, 0.5]
    pictures = {"size": size, "image_mean": half, "image_std": half}
    change(folder / "preprocessor_config.json", **pictures)

    findings = verify(folder)

    assert [one.severity for one in findings] == [Severity.ERROR] * 2
    assert findings[0].message.startswith("tensor ")
    assert findings[0].message.endswith(" more missing")
    assert "8 x 8 pixels, the vision tower in config.json sees 16 x 16" in findings[1].message


@pytest.mark.parametrize(
    ("token", "file"),
    [
        pytest.param(9000, "config.json", id="beyond the vocabulary"),
        pytest.param(262, "tokenizer.json", id="beyond the tokenizer"),
    ],
)
def test_images_need_a_token(tmp_path: Path, token: int, file: str):
    seeing = dataclasses.replace(tiny("llava"), image_token=token)

    (only,) = verify(write_checkpoint(tmp_path, seeing))

    assert (only.severity, only.file) == (Severity.ERROR, file)
    assert str(token) in only.message
