"""Who computes what in the next iteration: continuous batching over a paged KV cache.

Requests join and leave between iterations, first come first served. Every iteration decodes
one token of each sequence that is past its prompt, then spends what is left of its token
budget on prompts, in chunks: a long prompt delays decoding by one chunk at most. When blocks
run out, the youngest sequence loses its own and computes them again later.
"""

from collections import deque
from dataclasses import dataclass

from inference.engine.kv_cache import BlockPool
from inference.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some tokens of one sequence, from `start` on, to be computed in one iteration."""

    sequence: Sequence
    start: int
    count: int
    is_decode: bool  # the token drawn last, rather than a part of a prompt

    @property
    def end(self) -> int:
        """First token after the chunk."""
        return self.start + self.count

    @property
    def draws(self) -> bool:
        """Whether the sequence's next token can be drawn once the chunk is computed."""
        return self.end == len(self.sequence.tokens)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one iteration may hold."""

    slots: int  # sequences in the batch
    token_budget: int = 256  # tokens computed, so long as a prompt is among them

    def __post_init__(self) -> None:
        if self.slots < 1 or self.token_budget <= self.slots:
            raise ValueError(
                f"expected at least 1 slot and a token budget above it (else prompts would "
                f"starve), got {self.slots} slots and a budget of {self.token_budget}"
            )


class Scheduler:
    """The sequences of one engine, waiting or running, both in order of arrival."""

    def __init__(self, limits: Limits, pool: BlockPool) -> None:
        self.pool = pool
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self._limits = limits

    @property
    def has_work(self) -> bool:
        """Whether the next iteration would compute something."""
        return bool(self.running or self.waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence, which must fit into the whole cache once it is fully answered."""
        longest = len(sequence.request.prompt) + sequence.request.max_tokens
        if longest > self.pool.capacity:
            raise ValueError(f"{longest} tokens never fit into {self.pool.capacity}")
        self.waiting.append(sequence)

    def next_iteration(self) -> list[Chunk]:
        """Choose the chunks of the next iteration, with a block for every one of their tokens."""
        preempted = self._make_room_to_decode()
        chunks = [_decode(one) for one in self.running if one.is_decoding]
        budget = self._limits.token_budget - len(chunks)
        for sequence in self.running:
            if budget and not sequence.is_decoding:
                chunks.append(_prefill(sequence, budget))
                budget -= chunks[-1].count
        while budget and not preempted and self._can_admit():
            chunks.append(_prefill(self._admit(), budget))
            budget -= chunks[-1].count
        return chunks

    def advance(self, chunks: list[Chunk]) -> None:
        """Note that the chunks have been computed."""
        for chunk in chunks:
            chunk.sequence.computed = chunk.end

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence that is finished or cancelled; forgetting twice is fine."""
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        self._release(sequence)

    def _make_room_to_decode(self) -> bool:
        """Give a block to every sequence that decodes into a new one; tell whether one lost."""
        preempted = False
        for sequence in list(self.running):
            lacking = self._lacks_block(sequence)
            while lacking and sequence in self.running and not self.pool.available:
                self._preempt_youngest()
                preempted = True
            if lacking and sequence in self.running:
                sequence.blocks += self.pool.allocate(1)
        return preempted

    def _lacks_block(self, sequence: Sequence) -> bool:
        return self.pool.blocks_for(len(sequence.tokens)) > len(sequence.blocks)

    def _preempt_youngest(self) -> None:
        sequence = self.running.pop()
        self._release(sequence)
        sequence.is_waiting = True
        self.waiting.appendleft(sequence)

    def _can_admit(self) -> bool:
        if not self.waiting or len(self.running) == self._limits.slots:
            return False
        return self._blocks_to_admit(self.waiting[0]) <= self.pool.available

    def _admit(self) -> Sequence:
        sequence = self.waiting.popleft()
        sequence.blocks = self.pool.allocate(self._blocks_to_admit(sequence))
        sequence.is_waiting = False
        self.running.append(sequence)
        return sequence

    def _blocks_to_admit(self, sequence: Sequence) -> int:
        # One token beyond what it has: else it could be preempted before it draws a second one.
        return self.pool.blocks_for(len(sequence.tokens) + 1)

    def _release(self, sequence: Sequence) -> None:
        self.pool.free(sequence.blocks)
        sequence.blocks = []
        sequence.computed = 0


def _decode(sequence: Sequence) -> Chunk:
    return Chunk(sequence, sequence.computed, 1, is_decode=True)


def _prefill(sequence: Sequence, budget: int) -> Chunk:
    return Chunk(sequence, sequence.computed, min(sequence.remaining, budget), is_decode=False)
