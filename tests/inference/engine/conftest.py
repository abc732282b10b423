"""A runtime whose next token depends on every token that its paged cache holds."""

import numpy as np
import pytest

from inference.engine.sequence import Request
from inference.runtimes.runtime import Batch, RuntimeFailedError

VOCABULARY = 97


class EchoRuntime:
    """Writes tokens into the slots it is told and scores by what the block tables lead to.

    A sequence that reads or writes another one's blocks answers differently.
    """

    block_size = 4

    def __init__(self) -> None:
        self.cache = np.zeros(0, np.int64)
        self.rows: list[int] = []
        self.widths: list[int] = []
        self.fails_at: int | None = None

    def load(self, spec: object, weights: object) -> None:
        """Nothing to load."""

    def allocate_kv(self, blocks: int) -> None:
        self.cache = np.full(blocks * self.block_size, -1)

    def step(self, batch: Batch) -> np.ndarray:
        if self.fails_at is not None and len(self.rows) >= self.fails_at:
            raise RuntimeFailedError("the device fell off the bus")
        self.rows.append(len(batch.tokens))
        self.widths.append(batch.tokens.shape[1])
        self.cache[batch.slots] = batch.tokens
        logits = np.zeros((len(batch.tokens), VOCABULARY), np.float32)
        for row, (table, last) in enumerate(zip(batch.block_tables, batch.last, strict=True)):
            slots = (table[:, None] * self.block_size + np.arange(self.block_size)).ravel()
            context = self.cache[slots[: batch.positions[row, last] + 1]]
            logits[row, next_token([int(token) for token in context])] = 9.0
        return logits


def next_token(context: list[int]) -> int:
    """What the runtime says after a context, worked out on its own."""
    value = len(context)
    for token in context:
        value = (value * 31 + token + 1) % 10_007
    return value % VOCABULARY


def answer(request: Request) -> list[int]:
    """What a request must get, whoever runs beside it."""
    tokens = list(request.prompt)
    while len(tokens) - len(request.prompt) < request.max_tokens:
        tokens.append(next_token(tokens))
        if tokens[-1] in request.stop_tokens:
            break
    return tokens[len(request.prompt) :]


@pytest.fixture
def runtime() -> EchoRuntime:
    return EchoRuntime()


@pytest.fixture(scope="session")
def runtime_type() -> type[EchoRuntime]:
    return EchoRuntime


@pytest.fixture(name="answer", scope="session")
def answer_fixture():
    return answer
