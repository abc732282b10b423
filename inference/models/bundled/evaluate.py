"""How well a trained network does on what it has not seen."""

import argparse
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from inference.models.bundled import corpus, digits, export, scaling_sentences, vocabulary
from inference.models.bundled.digits import Digit
from inference.models.bundled.llava import Llava
from inference.models.bundled.scaling_sentences import Case
from inference.models.bundled.vocabulary import BOS_ID, END_ID, IMAGE, PAD_ID

CASES, CASES_SEED = 500, 7
ROWS = 100
ANSWER_TOKENS = 120
DIGIT_QUESTION = f"{IMAGE}Which digit is this?"


@dataclass(frozen=True, slots=True)
class Lesson:
    """A question, with its picture if it has one, and the one answer that is right."""

    kind: str
    question: str
    answer: str
    image: Image.Image | None = None


@dataclass(frozen=True, slots=True)
class Exactness:
    """How many answers come out to the letter."""

    right: Counter[str]
    asked: Counter[str]

    @property
    def share(self) -> float:
        """Right answers among all."""
        return self.right.total() / self.asked.total()

    def by_kind(self) -> dict[str, str]:
        """Right answers of each kind, as `right/asked`."""
        return {kind: f"{self.right[kind]}/{self.asked[kind]}" for kind in sorted(self.asked)}


def held_out_cases(count: int = CASES) -> list[Case]:
    """The same distinct cases each time, none of them with a pair of numbers that was taught."""
    rng = random.Random(CASES_SEED)
    cases: dict[Case, None] = {}
    while len(cases) < count:
        cases[scaling_sentences.sample(rng, held_out=True)] = None
    return list(cases)


def sentences(cases: Sequence[Case]) -> list[Lesson]:
    """Scaling prompts and their sentences, by outcome."""
    return [Lesson(case.outcome.value, case.prompt, case.sentence) for case in cases]


def pictures(held_out: Sequence[Digit], *, size: int, black_on_white: bool) -> list[Lesson]:
    """The digits as pictures of this size and ground, by value."""
    return [
        Lesson(
            digits.NAMES[digit.value],
            DIGIT_QUESTION,
            digit.sentence,
            digits.picture(digit, size=size, black_on_white=black_on_white),
        )
        for digit in held_out
    ]


def exactness(network: Llava, tokenizer: Tokenizer, lessons: Sequence[Lesson]) -> Exactness:
    """How many answers greedy decoding gives to the letter."""
    right: Counter[str] = Counter()
    for start in range(0, len(lessons), ROWS):
        some = lessons[start : start + ROWS]
        told = tells(network, tokenizer, some)
        right.update(lesson.kind for lesson, is_right in zip(some, told, strict=True) if is_right)
    return Exactness(right, Counter(lesson.kind for lesson in lessons))


def tells(network: Llava, tokenizer: Tokenizer, lessons: Sequence[Lesson]) -> list[bool]:
    """Whether each token of an answer, its end too, is the likeliest after those before it.

    That is what greedy decoding comes to, found in one pass.
    """
    prompts = [prompt(tokenizer, lesson.question) for lesson in lessons]
    answers = [[*vocabulary.plain_ids(tokenizer, lesson.answer), END_ID] for lesson in lessons]
    rows = [asked + answer for asked, answer in zip(prompts, answers, strict=True)]
    images = [lesson.image for lesson in lessons if lesson.image]
    with torch.inference_mode():
        states = network.states(right_padded(rows), pixels(images))
        return [
            network.scores(state[len(asked) - 1 : len(row) - 1]).argmax(-1).tolist() == answer
            for state, row, asked, answer in zip(states, rows, prompts, answers, strict=True)
        ]


def bits_per_byte(
    network: Llava, tokenizer: Tokenizer, passages: Sequence[corpus.Passage]
) -> float:
    """Bits that the network needs for a byte of these passages, end marks included."""
    nats, size = 0.0, 0
    for passage in passages:
        ids = [BOS_ID, *vocabulary.plain_ids(tokenizer, passage.text), END_ID]
        nats += surprise(network, ids[: network.shape.positions + 1])
        size += len(passage.text.encode())
    return nats / math.log(2) / size


def surprise(network: Llava, ids: list[int]) -> float:
    """Nats for all tokens after the first."""
    tokens = torch.tensor([ids])
    with torch.inference_mode():
        logits = network(tokens[:, :-1])[0]
    return float(functional.cross_entropy(logits, tokens[0, 1:], reduction="sum"))


def answer(
    network: Llava, tokenizer: Tokenizer, question: str, images: Sequence[Image.Image] = ()
) -> str:
    """The greedy answer to a question, which names each image by its mark."""
    asked = prompt(tokenizer, question)
    return tokenizer.decode(generate(network, asked, pixels(images)))


def complete(network: Llava, tokenizer: Tokenizer, text: str) -> str:
    """The greedy continuation of a plain text."""
    return tokenizer.decode(generate(network, [BOS_ID, *vocabulary.plain_ids(tokenizer, text)]))


def generate(network: Llava, tokens: list[int], images: Tensor | None = None) -> list[int]:
    """Always the likeliest token, until the end or until it is long enough."""
    row = list(tokens)
    for _ in range(ANSWER_TOKENS):
        with torch.inference_mode():
            last = network.states(torch.tensor([row]), images)[0, -1]
            token = int(network.scores(last).argmax())
        if token == END_ID:
            break
        row.append(token)
    return row[len(tokens) :]


def prompt(tokenizer: Tokenizer, question: str) -> list[int]:
    """The question as the first of a chat."""
    return [BOS_ID, *vocabulary.question_ids(tokenizer, question)]


def right_padded(rows: Sequence[list[int]]) -> Tensor:
    """Rows of one length; what is filled up lies where attention never looks."""
    width = max(map(len, rows))
    return torch.tensor([row + [PAD_ID] * (width - len(row)) for row in rows])


def pixels(images: Sequence[Image.Image]) -> Tensor | None:
    """The pictures as the eye takes them, or none."""
    if not images:
        return None
    return torch.from_numpy(np.stack([digits.pixels(image) for image in images]))


def main() -> None:
    """Print answers of the network in a folder to questions from the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("questions", nargs="+")
    parser.add_argument("--image", type=Path, help="a picture that every question is about")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    network = export.load(arguments.folder)
    tokenizer = Tokenizer.from_file(str(arguments.folder / "tokenizer.json"))
    images = [Image.open(arguments.image)] if arguments.image else []
    for question in arguments.questions:
        asked = IMAGE * len(images) + question
        print(f"{question}\n  {answer(network, tokenizer, asked, images)}")


if __name__ == "__main__":
    main()
