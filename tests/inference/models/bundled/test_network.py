from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from .conftest import Llama

torch = pytest.importorskip("torch")

from inference.models.bundled import evaluate, export, vocabulary  # noqa: E402
from inference.models.bundled.scaling_sentences import EXAMPLE  # noqa: E402

QUESTIONS = [EXAMPLE.prompt, "What is a warm pool?", "Explain lambdas.", "Hello", "Why is it so?"]


def test_numpy_and_torch_choose_the_same_tokens(
    folder: Path, llama: "Llama", tokenizer: Tokenizer
) -> None:
    network = export.load(folder)
    prompts = [
        [vocabulary.BOS_ID, *vocabulary.question_ids(tokenizer, text)] for text in QUESTIONS
    ]

    assert [llama.greedy(prompt) for prompt in prompts] == evaluate.generate(network, prompts)


def test_numpy_and_torch_agree_on_logits(
    folder: Path, llama: "Llama", tokenizer: Tokenizer
) -> None:
    tokens = tokenizer.encode(EXAMPLE.sentence).ids
    with torch.inference_mode():
        logits = export.load(folder)(torch.tensor([tokens]))[0].numpy()

    np.testing.assert_allclose(llama.logits(tokens), logits, atol=2e-3, rtol=0)
