import pytest

from inference.models.bundled import corpus

HEADED = """The "pass" statement
********************

"pass" is a *null* operation. See ``help()`` or :func:`dir`. It
reads:

   pass_stmt ::= "pass"

* It is useful as a placeholder when a statement is required syntactically.

>>> pass
"""


def test_paragraphs_keep_prose_only() -> None:
    assert corpus.paragraphs(HEADED) == [
        '"pass" is a null operation. See help() or dir.',
        "It is useful as a placeholder when a statement is required syntactically.",
    ]


def test_names_of_a_topic() -> None:
    assert corpus.topic_names("pass", HEADED) == ("the pass statement", "pass")


@pytest.fixture(scope="module")
def passages() -> list[corpus.Passage]:
    return corpus.passages()


def test_passages_are_distinct_and_short(passages: list[corpus.Passage]) -> None:
    texts = [passage.text for passage in passages]

    assert len(texts) == len(set(texts))
    assert max(map(len, texts)) <= corpus.PASSAGE_CHARACTERS


def test_one_passage_in_twenty_is_held_out(passages: list[corpus.Passage]) -> None:
    held_out = [passage for passage in passages if passage.is_held_out]

    assert 0.03 < len(held_out) / len(passages) < 0.07


def test_passages_come_out_the_same_again(passages: list[corpus.Passage]) -> None:
    assert passages == corpus.passages()


def test_answers_are_sentences() -> None:
    subjects = corpus.topic_subjects() + corpus.library_subjects()

    assert len(subjects) > 1000
    assert all(len(subject.answer) <= corpus.ANSWER_CHARACTERS for subject in subjects)
    assert all(subject.answer.endswith((".", "!", "?")) for subject in subjects)
