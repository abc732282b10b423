"""A runtime whose next token depends on every token that its paged cache holds."""

from collections.abc import Sequence

import numpy as np
import pytest

from inference.engine.sampling import Sampler, draw
from inference.engine.sequence import Request
from inference.runtimes.runtime import (
    Batch,
    BlockCopy,
    RuntimeFailedError,
    RuntimeMemoryError,
    SleepLevel,
)

VOCABULARY = 97
POISON = 9999  # a context that ends with it is scored NaN


class EchoRuntime:
    """Writes tokens into the slots it is told and scores by what the block tables lead to.

    A sequence that reads or writes another one's blocks answers differently.
    """

    block_bytes = 4 * 8

    def __init__(self, block_size: int = 4) -> None:
        self.block_size = block_size
        self.cache = np.zeros(0, np.int64)
        self.rows: list[int] = []
        self.widths: list[int] = []
        self.copied = 0
        self.fails_at: int | None = None
        self.most_rows: int | None = None  # that memory suffices for
        self.calls: list[str] = []

    def load(self, spec: object, weights: object) -> None:
        self.calls.append("load")

    def allocate_kv(self, blocks: int) -> None:
        self.calls.append("allocate_kv")
        self.cache = np.full(blocks * self.block_size, -1)

    def copy_blocks(self, copies: Sequence[BlockCopy]) -> None:
        slots = self.cache.reshape(-1, self.block_size)
        for source, target, tokens in copies:
            assert 0 not in (source, target)
            slots[target, :tokens] = slots[source, :tokens]
            self.copied += 1

    def step(self, batch: Batch) -> np.ndarray:
        if self.fails_at is not None and len(self.rows) >= self.fails_at:
            raise RuntimeFailedError("the device fell off the bus")
        if self.most_rows is not None and len(batch.tokens) > self.most_rows:
            raise RuntimeMemoryError(f"no memory for {len(batch.tokens)} rows")
        self.rows.append(len(batch.tokens))
        self.widths.append(batch.tokens.shape[1])
        self._write(batch)
        return np.stack(
            [
                logits_after(self._context(table, row_positions[last]))
                for table, row_positions, last in zip(
                    batch.block_tables, batch.positions, batch.last, strict=True
                )
            ]
        )

    def sleep(self, level: SleepLevel) -> None:
        self.calls.append(f"sleep {int(level)}")
        self.cache = np.zeros(0, np.int64)

    def wake(self) -> None:
        self.calls.append("wake")

    def _write(self, batch: Batch) -> None:
        values = batch.tokens.copy()
        if batch.images is not None:
            values.reshape(-1)[batch.images.rows] = seen(batch.images.values)
        for row, last in enumerate(batch.last):
            self.cache[batch.slots[row, : last + 1]] = values[row, : last + 1]

    def _context(self, table: np.ndarray, position: int) -> list[int]:
        slots = (table[:, None] * self.block_size + np.arange(self.block_size)).ravel()
        return self.cache[slots[: position + 1]].tolist()


def seen(embeddings: np.ndarray) -> np.ndarray:
    """What the runtime keeps of an image's embeddings."""
    return 1000 + embeddings[:, 0].astype(np.int64)


def next_token(context: list[int]) -> int:
    """What is likeliest after a context, worked out on its own."""
    value = len(context)
    for token in context:
        value = (value * 31 + token + 1) % 10_007
    return value % VOCABULARY


def logits_after(context: list[int]) -> np.ndarray:
    logits = np.zeros(VOCABULARY, np.float32)
    logits[next_token(context)] = 9.0
    return logits if context[-1] != POISON else logits + np.nan


def answer(request: Request, choice: int = 0) -> list[int]:
    """What a choice must get, whoever runs beside it."""
    context = list(request.prompt)
    for image in request.images:
        context[image.start : image.end] = seen(image.embeddings).tolist()
    constraint = request.constraint() if request.constraint else None
    sampler = Sampler(
        request.sampling,
        request.prompt,
        vocabulary=VOCABULARY,
        choice=choice,
        constraint=constraint,
    )
    said: list[int] = []
    while len(said) < request.max_tokens:
        (drawn,) = draw(logits_after(context + said)[None], [sampler])
        said.append(drawn.token)
        if drawn.ends or drawn.token in request.stop_tokens:
            break
    return said


@pytest.fixture
def runtime() -> EchoRuntime:
    return EchoRuntime()


@pytest.fixture(scope="session")
def runtime_type() -> type[EchoRuntime]:
    return EchoRuntime


@pytest.fixture(name="answer", scope="session")
def answer_fixture():
    return answer


@pytest.fixture(scope="session")
def poison() -> int:
    return POISON
