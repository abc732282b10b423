import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from inference.models.bundled import vocabulary
from inference.models.bundled.vocabulary import IMAGE, IMAGE_ID, SIZE

RNG = random.Random(1)
WORDS = ["".join(RNG.choices("abcdefghij", k=8)) for _ in range(1000)]


@pytest.fixture(scope="module")
def sightless() -> Tokenizer:
    """A vocabulary of the full size whose last piece is a merge."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    marks = list(vocabulary.MARKS)
    trainer = trainers.BpeTrainer(vocab_size=SIZE, special_tokens=marks, show_progress=False)
    tokenizer.train_from_iterator(WORDS, trainer)
    return tokenizer


def test_the_mark_of_an_image_takes_the_place_of_the_last_merge(
    sightless: Tokenizer, tmp_path: Path
) -> None:
    vocabulary.save(sightless, tmp_path)
    seeing = vocabulary.load(tmp_path)
    changed = sightless.get_vocab().items() ^ seeing.get_vocab().items()

    assert sightless.get_vocab_size() == seeing.get_vocab_size() == SIZE
    assert {(sightless.id_to_token(IMAGE_ID), IMAGE_ID), (IMAGE, IMAGE_ID)} == changed


def test_a_new_vocabulary_knows_images() -> None:
    tokenizer = vocabulary.train(WORDS)

    assert tokenizer.get_vocab_size() == SIZE
    assert tokenizer.token_to_id(IMAGE) == IMAGE_ID


def test_a_saved_vocabulary_loads_as_it_was(folder: Path, tmp_path: Path) -> None:
    tokenizer = vocabulary.load(folder)
    vocabulary.save(tokenizer, tmp_path)

    assert tokenizer.to_str() == vocabulary.load(tmp_path).to_str()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()
