"""How well a trained network does on what it has not seen."""

import argparse
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional

from inference.models.bundled import corpus, export, scaling_sentences, vocabulary
from inference.models.bundled.network import Network
from inference.models.bundled.scaling_sentences import Case
from inference.models.bundled.vocabulary import BOS_ID, END_ID, PAD_ID

CASES, CASES_SEED = 500, 7
ROWS = 100
ANSWER_TOKENS = 120


@dataclass(frozen=True, slots=True)
class Exactness:
    """How many held-out scaling sentences come out to the letter."""

    right: Counter[str]
    asked: Counter[str]

    @property
    def share(self) -> float:
        """Right answers among all."""
        return self.right.total() / self.asked.total()

    def by_outcome(self) -> dict[str, str]:
        """Right answers of each outcome, as `right/asked`."""
        return {kind: f"{self.right[kind]}/{self.asked[kind]}" for kind in sorted(self.asked)}


def held_out_cases(count: int = CASES) -> list[Case]:
    """The same distinct cases each time, none of them with a pair of numbers that was taught."""
    rng = random.Random(CASES_SEED)
    cases: dict[Case, None] = {}
    while len(cases) < count:
        cases[scaling_sentences.sample(rng, held_out=True)] = None
    return list(cases)


def exactness(network: Network, tokenizer: Tokenizer, cases: Sequence[Case]) -> Exactness:
    """Greedy answers to the cases' prompts, graded by the rule."""
    right: Counter[str] = Counter()
    for start in range(0, len(cases), ROWS):
        some = cases[start : start + ROWS]
        answers = answer(network, tokenizer, [case.prompt for case in some])
        right.update(
            case.outcome.value
            for case, text in zip(some, answers, strict=True)
            if scaling_sentences.grade(case.prompt, text)
        )
    return Exactness(right, Counter(case.outcome.value for case in cases))


def bits_per_byte(
    network: Network, tokenizer: Tokenizer, passages: Sequence[corpus.Passage]
) -> float:
    """Bits that the network needs for a byte of these passages, end marks included."""
    nats, size = 0.0, 0
    for passage in passages:
        ids = [BOS_ID, *vocabulary.plain_ids(tokenizer, passage.text), END_ID]
        nats += surprise(network, ids[: network.shape.positions + 1])
        size += len(passage.text.encode())
    return nats / math.log(2) / size


def surprise(network: Network, ids: list[int]) -> float:
    """Nats for all tokens after the first."""
    tokens = torch.tensor([ids])
    with torch.inference_mode():
        logits = network(tokens[:, :-1])[0]
    return float(functional.cross_entropy(logits, tokens[0, 1:], reduction="sum"))


def answer(network: Network, tokenizer: Tokenizer, questions: Sequence[str]) -> list[str]:
    """The greedy answer to each question, asked as the first of a chat."""
    prompts = [[BOS_ID, *vocabulary.question_ids(tokenizer, text)] for text in questions]
    return [tokenizer.decode(ids) for ids in generate(network, prompts)]


def complete(network: Network, tokenizer: Tokenizer, text: str) -> str:
    """The greedy continuation of a plain text."""
    prompt = [BOS_ID, *vocabulary.plain_ids(tokenizer, text)]
    return tokenizer.decode(generate(network, [prompt])[0])


def generate(network: Network, prompts: list[list[int]]) -> list[list[int]]:
    """Always the likeliest token, until each row has ended or is long enough."""
    rows = [list(prompt) for prompt in prompts]
    running = rows
    for _ in range(ANSWER_TOKENS):
        for row, token in zip(running, likeliest(network, running), strict=True):
            row.append(token)
        running = [row for row in running if row[-1] != END_ID]
        if not running:
            break
    return [until_end(row[len(prompt) :]) for row, prompt in zip(rows, prompts, strict=True)]


def likeliest(network: Network, rows: list[list[int]]) -> list[int]:
    """The token that follows each row; padding is on the right, where attention never looks."""
    last = torch.tensor([len(row) - 1 for row in rows])
    width = int(last.max()) + 1
    tokens = torch.tensor([row + [PAD_ID] * (width - len(row)) for row in rows])
    with torch.inference_mode():
        states = network.model(tokens)[torch.arange(len(rows)), last]
        following = functional.linear(states, network.model.embed_tokens.weight).argmax(-1)
    return [int(token) for token in following]


def until_end(ids: list[int]) -> list[int]:
    """The tokens before the first end mark."""
    return ids[: ids.index(END_ID)] if END_ID in ids else ids


def main() -> None:
    """Print answers of the network in a folder to questions from the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("questions", nargs="+")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    network = export.load(arguments.folder)
    tokenizer = Tokenizer.from_file(str(arguments.folder / "tokenizer.json"))
    for question in arguments.questions:
        print(f"{question}\n  {answer(network, tokenizer, [question])[0]}")


if __name__ == "__main__":
    main()
