import json
from pathlib import Path

import pytest

from inference.models.generation import GenerationDefaults, load_generation_defaults
from inference.models.spec import ModelError


def _folder(folder: Path, **config: object) -> Path:
    (folder / "generation_config.json").write_text(json.dumps(config))
    return folder


def test_without_a_file_openais_defaults_hold(tmp_path: Path):
    assert load_generation_defaults(tmp_path) == GenerationDefaults(1.0, 1.0, 0)


def test_a_model_can_say_how_it_samples(tmp_path: Path):
    said = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.1,
            "repetition_penalty": 1.05}  # fmt: skip

    assert load_generation_defaults(_folder(tmp_path, **said)) == GenerationDefaults(**said)


def test_a_model_that_does_not_sample_is_greedy(tmp_path: Path):
    folder = _folder(tmp_path, do_sample=False, temperature=0.6)

    assert load_generation_defaults(folder).temperature == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": "hot"},
        {"top_p": 3},
        {"top_k": -1},
        {"min_p": 2},
        {"repetition_penalty": 0},
    ],
    ids=str,
)
def test_nonsense_is_named(tmp_path: Path, wrong: dict[str, object]):
    with pytest.raises(ModelError, match=r"generation_config\.json"):
        load_generation_defaults(_folder(tmp_path, **wrong))
