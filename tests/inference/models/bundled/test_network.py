from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from .conftest import Llava

torch = pytest.importorskip("torch", reason="trains the bundled model")

from inference.models.bundled import (  # noqa: E402
    digits,
    evaluate,
    export,
    rounding,
    vocabulary,
)
from inference.models.bundled.scaling_sentences import EXAMPLE  # noqa: E402

QUESTIONS = [EXAMPLE.prompt, "What is a warm pool?", "Explain lambdas.", "Hello", "Why is it so?"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_numpy_and_torch_choose_the_same_tokens(
    folder: Path, llava: "Llava", tokenizer: Tokenizer, question: str
) -> None:
    prompt = evaluate.prompt(tokenizer, question)

    assert llava.greedy(prompt) == evaluate.generate(export.load(folder), prompt)


def test_numpy_and_torch_agree_on_logits(
    folder: Path, llava: "Llava", tokenizer: Tokenizer
) -> None:
    image = digits.pixels(Image.effect_noise((8, 8), 60))
    tokens = evaluate.prompt(tokenizer, f"{vocabulary.IMAGE}{EXAMPLE.sentence}")
    with torch.inference_mode():
        logits = export.load(folder)(torch.tensor([tokens]), torch.from_numpy(image)[None])[0]

    np.testing.assert_allclose(llava.logits(tokens, image), logits.numpy(), atol=2e-3, rtol=0)


def test_what_it_tells_is_what_it_generates(folder: Path, tokenizer: Tokenizer) -> None:
    network = export.load(folder)
    lessons = evaluate.sentences(evaluate.held_out_cases(3))
    told = evaluate.tells(network, tokenizer, lessons)

    assert told == [
        evaluate.answer(network, tokenizer, lesson.question) == lesson.answer for lesson in lessons
    ]


def test_a_network_comes_back_as_it_was_saved(folder: Path, tmp_path: Path) -> None:
    export.save(export.load(folder), tmp_path)

    for name in (export.WEIGHTS, export.CONFIG, export.GENERATION, export.PREPROCESSOR):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_eight_bits_move_a_weight_by_half_a_step_at_most() -> None:
    weight = torch.randn(6, 64, generator=torch.Generator().manual_seed(1))
    steps = weight.unflatten(1, (2, 32)).abs().amax(-1, keepdim=True) / 127
    moved = (rounding.to_int8_and_back(weight) - weight).unflatten(1, (2, 32)).abs()

    assert (moved <= steps * 0.501).all()
    assert moved.max() > 0
