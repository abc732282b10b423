from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from inference.models.bundled import batches, vocabulary
from inference.models.bundled.batches import Sampler
from inference.models.bundled.conversations import Repertoire
from inference.models.bundled.corpus import Passage
from inference.models.bundled.digits import Digit

PICTURES = [Digit(np.full((8, 8), 10 * value, np.uint8), value) for value in range(10)]


@pytest.fixture(scope="module")
def sampler(folder: Path) -> Sampler:
    tokenizer = vocabulary.load(folder)
    return Sampler(tokenizer, Repertoire(), [Passage("One. Two.\nThree.")], PICTURES, seed=1)


def test_only_answers_count_in_conversations(sampler: Sampler) -> None:
    batch = sampler.conversations(8, 160)

    for tokens, weights in zip(batch.tokens, batch.weights, strict=True):
        counts = np.flatnonzero(weights)
        starts = counts[~np.isin(counts - 1, counts)]
        assert (tokens[starts - 1] == vocabulary.ASSISTANT_ID).all()
        assert not (tokens[counts] == vocabulary.USER_ID).any()


def test_marks_of_a_scaling_sentence_weigh_more(sampler: Sampler, tokenizer: Tokenizer) -> None:
    batch = sampler.conversations(8, 160)
    heavy = batch.tokens[batch.weights == batches.DECIDES]
    texts = {tokenizer.id_to_token(token) for token in heavy}

    assert {",", ".", "Ġso"} <= texts
    assert "carry" not in "".join(texts)


def test_every_image_has_its_marks(sampler: Sampler) -> None:
    batch = sampler.pictures(6)

    assert batch.images is not None
    marks = (batch.tokens == vocabulary.IMAGE_ID).sum()
    assert marks == len(batch.images) * vocabulary.IMAGE_TOKENS
    assert batch.images.shape[1:] == (1, 8, 8)
    assert not batch.weights[batch.tokens == vocabulary.IMAGE_ID].any()


def test_all_of_a_passage_counts(sampler: Sampler) -> None:
    batch = sampler.prose(2, 40)

    np.testing.assert_array_equal(batch.tokens != vocabulary.BOS_ID, batch.weights > 0)


def test_rows_are_filled_up_at_their_ends() -> None:
    batch = batches.stack([([5, 6, 7], [0.0, 1.0, 1.0]), ([8], [1.0])])

    assert batch.tokens.tolist() == [[5, 6, 7], [8, vocabulary.PAD_ID, vocabulary.PAD_ID]]
    assert batch.weights.tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
