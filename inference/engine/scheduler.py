"""Who computes what in the next iteration: continuous batching over a paged KV cache.

Sequences join and leave between iterations, the most senior first: seniority is the time of
arrival, moved by the request's priority. Every iteration decodes one token of each sequence
that is past its prompt, then spends what is left of its token budget on prompts, in chunks:
a long prompt delays decoding by one chunk at most. When blocks run out, the least senior
sequence loses its own, returns to its old place in the queue, and computes them again later.
"""

from bisect import insort
from collections.abc import Sequence as Sized
from dataclasses import dataclass, field
from operator import attrgetter

from inference.engine.admission import Admission, Continuous
from inference.engine.kv_cache import BlockPool
from inference.engine.prefix import extend_keys
from inference.engine.sequence import Sequence
from inference.runtimes.runtime import BlockCopy

_CONTINUOUS = Continuous()
_seniority = attrgetter("rank")


@dataclass(slots=True, eq=False)  # not frozen, which would make it twice as slow to make
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
        return self.start + self.count == len(self.sequence.tokens)


@dataclass(slots=True)
class Plan:
    """One iteration: first the copies, in order, then the chunks, each in a block of its own."""

    chunks: list[Chunk] = field(default_factory=list)
    copies: list[BlockCopy] = field(default_factory=list)
    preemptions: int = 0
    cached_tokens: int = 0  # of sequences that join; they need no computation
    joining: list[Sequence] = field(default_factory=list)  # for the first time


@dataclass(frozen=True, slots=True)
class Limits:
    """What one iteration may hold, and what urgency is worth."""

    slots: int  # sequences in the batch
    token_budget: int = 256  # tokens computed, so long as a prompt is among them
    ageing_seconds: float = 10.0  # waiting that makes up for one level of priority

    def __post_init__(self) -> None:
        if self.slots < 1 or self.token_budget <= self.slots:
            raise ValueError(
                f"expected at least 1 slot and a token budget above it (else prompts would "
                f"starve), got {self.slots} slots and a budget of {self.token_budget}"
            )
        if not self.ageing_seconds >= 0:
            raise ValueError(f"expected ageing_seconds of 0 or more, got {self.ageing_seconds}")


class Scheduler:
    """The sequences of one engine: waiting by seniority, running in the order they joined."""

    def __init__(
        self,
        limits: Limits,
        pool: BlockPool,
        *,
        admission: Admission = _CONTINUOUS,
        secret: bytes = b"",
    ) -> None:
        self.pool = pool
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        self._limits = limits
        self._most = limits.slots  # that may run; fewer once they proved too many
        self._admission = admission
        self._secret = secret  # keeps the names of prefixes from being forged
        self._places = 0  # that the admission has opened and nobody has taken
        self._arrivals = 0

    @property
    def has_work(self) -> bool:
        """Whether any sequence is not finished."""
        return bool(self.running or self.waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence, which must fit into the whole cache once it is fully answered."""
        request = sequence.request
        longest = len(request.prompt) + request.max_tokens
        if longest > self.pool.capacity:
            raise ValueError(f"{longest} tokens never fit into {self.pool.capacity}")
        self._arrivals += 1
        # Everybody ages alike, so that the order of two never changes while they wait.
        age = sequence.arrived + request.priority * self._limits.ageing_seconds
        sequence.rank = (age, self._arrivals)
        insort(self.waiting, sequence, key=_seniority)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence that is finished or cancelled; forgetting twice is fine."""
        if sequence in self.running:
            self.running.remove(sequence)
            self._most = self._limits.slots
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
            self._places = min(self._places, len(self.waiting))
        self._release(sequence)

    def pause(self, now: float) -> float | None:
        """Return how long there is nothing to compute; None until something is added."""
        if self.running or self._open_places(now):
            return 0.0
        if not self.waiting:
            return None
        return self._admission.look_again(len(self.waiting), 0, self._oldest_wait(now))

    def plan(self, now: float) -> Plan:
        """Choose the next iteration, with a block for every one of its tokens."""
        plan = Plan(preemptions=self._make_room_to_decode())
        prompts = []
        for sequence in self.running:
            if sequence.is_decoding:
                plan.chunks.append(Chunk(sequence, sequence.computed, 1, is_decode=True))
            else:
                prompts.append(sequence)
        budget = self._limits.token_budget - len(plan.chunks)
        for sequence in sorted(prompts, key=_seniority):
            budget -= _prefill(plan, sequence, budget)
        if self.waiting and self._has_slot:
            self._places = self._open_places(now)
            while budget and self._places and (joining := self._admit(plan, now)):
                budget -= _prefill(plan, joining, budget)
        return plan

    def advance(self, chunks: Sized[Chunk]) -> None:
        """Note that chunks have been computed; whoever begins alike may share full blocks."""
        size, tokens = self.pool.block_size, 0
        for chunk in chunks:
            start, count = chunk.start, chunk.count
            chunk.sequence.computed = end = start + count
            tokens += count
            if end // size > start // size:
                self._share_full(chunk)
        self.pool.fill(tokens)

    def _share_full(self, chunk: Chunk) -> None:
        sequence, size = chunk.sequence, self.pool.block_size
        self._name_blocks(sequence, chunk.end // size)
        for index in range(chunk.start // size, chunk.end // size):
            self.pool.name(sequence.blocks[index], sequence.keys[index])

    def retreat(self, chunks: Sized[Chunk]) -> None:
        """Preempt the least senior of chunks that were too many; nobody joins until one ends."""
        self._preempt(max((chunk.sequence for chunk in chunks), key=_seniority))
        self._most = len(self.running)

    def _make_room_to_decode(self) -> int:
        """Give a block to every sequence that decodes into a new one; count who lost theirs."""
        preemptions, size = 0, self.pool.block_size
        for sequence in list(self.running):
            if len(sequence.tokens) <= len(sequence.blocks) * size:
                continue
            while not self.pool.available and not sequence.is_waiting:
                self._preempt(max(self.running, key=_seniority))
                preemptions += 1
            if not sequence.is_waiting:
                sequence.blocks += self.pool.allocate(1)
        return preemptions

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._release(sequence)
        sequence.is_waiting = True
        insort(self.waiting, sequence, key=_seniority)

    @property
    def _has_slot(self) -> bool:
        return len(self.running) < self._most

    def _open_places(self, now: float) -> int:
        """Return how many may join: those just let in, and those let in before but not yet in."""
        waiting = len(self.waiting)
        if not waiting:
            return 0
        admitted = self._admission.admits(waiting, len(self.running), self._oldest_wait(now))
        return min(waiting, max(self._places, admitted))

    def _oldest_wait(self, now: float) -> float:
        return now - min(sequence.arrived for sequence in self.waiting)

    def _admit(self, plan: Plan, now: float) -> Sequence | None:
        """Let the most senior one join, if there is room; those that wait on it are no one."""
        sequence = next((one for one in self.waiting if not _awaits_sibling(one)), None)
        if sequence is None or not self._has_slot:
            return None
        blocks, present = self._present(sequence)
        if self._blocks_to_join(sequence, blocks, present) > self.pool.available:
            return None
        self._place(plan, sequence, blocks, present)
        self.waiting.remove(sequence)
        self.running.append(sequence)
        sequence.is_waiting = False
        if sequence.joined is None:
            sequence.joined = now
            plan.joining.append(sequence)
        self._places -= 1
        return sequence

    def _present(self, sequence: Sequence) -> tuple[list[int], int]:
        """Return blocks that hold the sequence's beginning, and how many tokens of it.

        Never all of its tokens: the logits of the last one must be computed.
        """
        size, most = self.pool.block_size, len(sequence.tokens) - 1
        self._name_blocks(sequence, len(sequence.tokens) // size)
        found = self.pool.find(sequence.keys)
        tokens = min(len(found) * size, most)
        prompt = min(len(sequence.request.prompt), most)
        sibling = _computed_sibling(sequence)
        if sibling is None or prompt <= tokens:
            return found, tokens
        return sibling.blocks[: self.pool.blocks_for(prompt)], prompt

    def _blocks_to_join(self, sequence: Sequence, blocks: list[int], present: int) -> int:
        """Return how many available blocks joining takes.

        One token beyond what the sequence has must fit: else it could be preempted before it
        draws a second one.
        """
        whole = present // self.pool.block_size
        needed = self.pool.blocks_for(len(sequence.tokens) + 1)
        return needed - whole + self.pool.idle(blocks[:whole])

    def _place(self, plan: Plan, sequence: Sequence, blocks: list[int], present: int) -> None:
        """Share the full blocks among those present; copy a part, as it will be written to."""
        whole, part = divmod(present, self.pool.block_size)
        self.pool.share(blocks[:whole])
        own = self.pool.allocate(self.pool.blocks_for(len(sequence.tokens)) - whole)
        sequence.blocks = blocks[:whole] + own
        sequence.computed = present
        if part:
            self.pool.fill(part)
            if blocks[whole] != own[0]:  # which was evicted for itself, and is as it was
                plan.copies.append(BlockCopy(blocks[whole], own[0], part))
        self.pool.count_query(len(sequence.tokens), hit=present)
        plan.cached_tokens += present
        if sequence.cached is None:
            sequence.cached = present

    def _name_blocks(self, sequence: Sequence, blocks: int) -> None:
        extend_keys(
            sequence.keys,
            sequence.tokens,
            sequence.request.images,
            blocks=blocks,
            block_size=self.pool.block_size,
            secret=self._secret,
        )

    def _release(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks, held=sequence.computed)
        sequence.blocks = []
        sequence.computed = 0


def _prefill(plan: Plan, sequence: Sequence, budget: int) -> int:
    """Plan as much of a prompt as the budget allows; return how many tokens that is."""
    count = min(sequence.remaining, budget)
    if count:
        plan.chunks.append(Chunk(sequence, sequence.computed, count, is_decode=False))
    return count


def _computed_sibling(sequence: Sequence) -> Sequence | None:
    """Return a choice of the same request that is past the prompt."""
    prompt = len(sequence.request.prompt)
    return next((one for one in sequence.siblings if one.computed >= prompt), None)


def _awaits_sibling(sequence: Sequence) -> bool:
    """Whether another choice is about to have computed the prompt that both share."""
    return _computed_sibling(sequence) is None and any(one.blocks for one in sequence.siblings)
