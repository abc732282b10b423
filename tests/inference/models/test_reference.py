import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from inference.models.checkpoint import Weights, load_weights
from inference.models.reference import reference_logits
from inference.models.spec import ModelSpec, load_spec
from tests.inference.conftest import tiny, write_checkpoint

TOKENS = list(range(40, 60))


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], tuple[ModelSpec, Weights]]:
    def write(family: str) -> tuple[ModelSpec, Weights]:
        folder = write_checkpoint(tmp_path_factory.mktemp("model"), tiny(family))
        return load_spec(folder), load_weights(folder, load_spec(folder))

    return write


def test_a_token_sees_none_that_follow_it(spec: ModelSpec, weights: Weights):
    whole = reference_logits(spec, weights, TOKENS)

    np.testing.assert_allclose(reference_logits(spec, weights, TOKENS[:7]), whole[:7], atol=1e-9)


def test_a_window_hides_what_lies_further_back(written: Callable):
    spec, weights = written("mistral")
    reach = spec.layers * (spec.sliding_window - 1)  # each layer looks so far back
    logits = reference_logits(spec, weights, TOKENS)
    changed = reference_logits(spec, weights, [1, *TOKENS[1:]])

    np.testing.assert_allclose(changed[reach + 1 :], logits[reach + 1 :], atol=1e-9)
    assert np.abs(changed[reach] - logits[reach]).max() > 1e-6


@pytest.mark.parametrize("family", ["llama-untied", "qwen2"])
@pytest.mark.parametrize("bias", ["q_proj", "k_proj", "v_proj"])
def test_biases_count(written: Callable, family: str, bias: str):
    spec, weights = written(family)
    without = {
        name: np.zeros_like(one) if name.endswith(f"{bias}.bias") else one
        for name, one in weights.items()
    }

    difference = reference_logits(spec, weights, TOKENS) - reference_logits(spec, without, TOKENS)

    assert np.abs(difference).max() > 0.01


def test_normalised_keys_forget_their_length(written: Callable):
    spec, weights = written("qwen3")
    longer = {name: one * 3 if "k_proj" in name else one for name, one in weights.items()}
    exact = dataclasses.replace(spec, norm_eps=0.0)

    np.testing.assert_allclose(
        reference_logits(exact, longer, TOKENS),
        reference_logits(exact, weights, TOKENS),
        atol=1e-5,
    )


def test_an_images_embeddings_stand_in_for_its_tokens(written: Callable):
    spec, weights = written("llava")
    table = weights["model.embed_tokens.weight"]
    seen = [1, spec.image_token, spec.image_token, 2]

    logits = reference_logits(spec, weights, seen, images={1: table[7], 2: table[8]})

    np.testing.assert_array_equal(logits, reference_logits(spec, weights, [1, 7, 8, 2]))
