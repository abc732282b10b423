import random
import re
from itertools import chain

import pytest

from inference.models.bundled.scaling_sentences import (
    CAPACITIES,
    EXAMPLE,
    Case,
    Outcome,
    every_case,
    grade,
    lesson,
    sample,
)

MOVE = re.compile(r"(?:(?:up|down) from (\d+) to|hold) (\d+) replicas?(, the limit)?\.$")
CARRY = re.compile(r"(\d+) (?:replica )?carr(?:y|ies) (\d+)")


@pytest.mark.parametrize(
    ("sentence", "case"),
    [
        pytest.param(
            "58 requests per second are forecast; 1 replica carries 16, 2 carry 32, 3 carry 48, "
            "4 carry 64, so scale up from 3 to 4 replicas.",
            Case(58, 16, 3, 8),
            id="up",
        ),
        pytest.param(
            "32 requests per second are forecast; 1 replica carries 16, 2 carry 32, "
            "so hold 2 replicas.",
            Case(32, 16, 2, 8),
            id="hold on the edge",
        ),
        pytest.param(
            "33 requests per second are forecast; 1 replica carries 16, 2 carry 32, 3 carry 48, "
            "so scale up from 2 to 3 replicas.",
            Case(33, 16, 2, 8),
            id="up past the edge",
        ),
        pytest.param(
            "20 requests per second are forecast; 1 replica carries 16, 2 carry 32, "
            "so scale down from 7 to 2 replicas.",
            Case(20, 16, 7, 8),
            id="down",
        ),
        pytest.param(
            "1 request per second is forecast; 1 replica carries 16, "
            "so scale down from 2 to 1 replica.",
            Case(1, 16, 2, 8),
            id="down to one",
        ),
        pytest.param(
            "65 requests per second are forecast; 1 replica carries 16, 2 carry 32, "
            "so scale up from 1 to 2 replicas, the limit.",
            Case(65, 16, 1, 2),
            id="up to the limit",
        ),
        pytest.param(
            "17 requests per second are forecast; 1 replica carries 16, "
            "so hold 1 replica, the limit.",
            Case(17, 16, 1, 1),
            id="hold at the limit",
        ),
        pytest.param(
            "No requests are forecast; 1 replica stays warm, so scale down from 3 to 1 replica.",
            Case(0, 16, 3, 8),
            id="no demand",
        ),
        pytest.param(
            "No requests are forecast; 1 replica stays warm, so hold 1 replica.",
            Case(0, 16, 1, 8),
            id="no demand and one replica",
        ),
    ],
)
def test_sentence(sentence: str, case: Case) -> None:
    assert sentence == case.sentence


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_every_sentence_is_true_of_its_case(capacity: int) -> None:
    for case in every_case(capacity):
        sentence = case.sentence
        before, after, at_limit = MOVE.search(sentence).groups()

        assert int(after) == case.target
        assert before is None or int(before) == case.replicas != case.target
        assert before is not None or case.replicas == case.target
        assert bool(at_limit) == (case.limit * capacity < case.forecast)
        assert all(int(x) * capacity == int(y) for x, y in CARRY.findall(sentence))


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_every_target_is_the_least_that_carries_the_forecast(capacity: int) -> None:
    for case in every_case(capacity):
        fewer_are_not = case.target == 1 or (case.target - 1) * capacity < case.forecast

        assert 1 <= case.target <= case.limit
        assert case.target * capacity >= case.forecast or case.outcome is Outcome.CAPPED
        assert fewer_are_not


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_every_prompt_reads_back(capacity: int) -> None:
    assert all(Case.parse(case.prompt) == case for case in every_case(capacity))


@pytest.mark.parametrize("space", ["", " ", "\n"])
def test_grade_accepts_the_sentence(space: str) -> None:
    assert grade(EXAMPLE.prompt, f"{space}{EXAMPLE.sentence}{space}")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param("58", "57", id="forecast"),
        pytest.param("48", "47", id="product"),
        pytest.param("up", "down", id="direction"),
        pytest.param("to 4", "to 5", id="target"),
        pytest.param("replicas.", "replicas", id="full stop"),
        pytest.param("replicas.", "replicas, the limit.", id="limit"),
    ],
)
def test_grade_rejects_a_change(right: str, wrong: str) -> None:
    answer = EXAMPLE.sentence.replace(right, wrong)

    assert answer != EXAMPLE.sentence
    assert not grade(EXAMPLE.prompt, answer)


@pytest.mark.parametrize("answer", ["", "Yes.", EXAMPLE.sentence * 2, EXAMPLE.prompt])
def test_grade_rejects_other_text(answer: str) -> None:
    assert not grade(EXAMPLE.prompt, answer)


def test_grade_rejects_the_sentence_of_any_other_case() -> None:
    others = {case.sentence for case in every_case(EXAMPLE.capacity)} - {EXAMPLE.sentence}

    assert not any(grade(EXAMPLE.prompt, sentence) for sentence in others)


@pytest.mark.parametrize("prompt", ["", "Hello", "forecast x rps", EXAMPLE.prompt + ", limit 9"])
def test_other_prompts_have_no_sentence(prompt: str) -> None:
    with pytest.raises(ValueError, match="expected a prompt like"):
        grade(prompt, "")


@pytest.mark.parametrize("numbers", [(-1, 16, 1, 8), (1, 0, 1, 8), (1, 16, 0, 8), (1, 16, 9, 8)])
def test_impossible_numbers_are_refused(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="not Case"):
        Case(*numbers)


def test_no_pair_of_forecast_and_capacity_is_on_both_sides_of_the_split() -> None:
    sides: dict[bool, set[tuple[int, int]]] = {True: set(), False: set()}
    for case in chain.from_iterable(map(every_case, CAPACITIES)):
        sides[case.is_held_out].add((case.forecast, case.capacity))

    assert sides[True].isdisjoint(sides[False])
    assert len(sides[True]) > 400


@pytest.mark.parametrize("held_out", [True, False])
def test_samples_stay_on_their_side_and_cover_every_outcome(held_out: bool) -> None:  # noqa: FBT001
    rng = random.Random(3)
    cases = [sample(rng, held_out=held_out) for _ in range(1000)]

    assert {held_out} == {case.is_held_out for case in cases}
    assert set(Outcome) == {case.outcome for case in cases}


def test_lessons_are_never_held_out() -> None:
    rng = random.Random(3)
    cases = [lesson(rng) for _ in range(2000)]

    assert not any(case.is_held_out for case in cases)
    assert set(Outcome) == {case.outcome for case in cases}


def test_most_lessons_lie_close_to_a_multiple() -> None:
    rng = random.Random(3)
    cases = [lesson(rng) for _ in range(1000)]
    close = [case for case in cases if (case.forecast + 2) % case.capacity <= 5]

    assert len(close) > 600
