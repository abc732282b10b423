"""Random arrivals, cancellations, failures and forks: nothing leaks, nobody gets a wrong token."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from inference.engine.admission import Continuous, Dynamic, Static
from inference.engine.core import Core, Failure, Iteration
from inference.engine.errors import BadSamplingError, DrawError, OutOfMemoryError
from inference.engine.kv_cache import BlockPool
from inference.engine.sampling import Sampling
from inference.engine.scheduler import Chunk, Limits, Scheduler
from inference.engine.sequence import PromptImage, Request, Sequence, sequences_of
from inference.runtimes.runtime import SleepLevel
from telemetry.clock import ManualClock


def core_of(runtime, *, blocks: int = 40, limits: Limits | None = None, **options: object) -> Core:
    runtime.allocate_kv(blocks)
    pool = BlockPool(blocks, block_size=runtime.block_size)
    scheduler = Scheduler(limits or Limits(4, 16), pool, **options)
    return Core(runtime, scheduler, blocks=blocks, clock=ManualClock())


def added(core: Core, request: Request) -> list[Sequence]:
    sequences = sequences_of(request, 0.0)
    for sequence in sequences:
        core.scheduler.add(sequence)
    return sequences


def said(sequence: Sequence) -> list[int]:
    return sequence.tokens[len(sequence.request.prompt) :]


def run_out(core: Core) -> list[Iteration]:
    iterations = []
    while core.scheduler.has_work:
        iterations.append(core.iterate())
        assert len(iterations) < 3000
    return iterations


def computed(iterations: list[Iteration]) -> int:
    return sum(chunk.count for one in iterations for chunk in one.computed)


class Timed:
    """A runtime that takes a second for each step, as the clock counts."""

    def __init__(self, runtime, clock: ManualClock) -> None:
        self._runtime, self._clock = runtime, clock

    def __getattr__(self, name: str):
        return getattr(self._runtime, name)

    def step(self, batch):
        self._clock.advance(1.0)
        return self._runtime.step(batch)


def test_the_device_clock_counts_what_ran_while_a_sequence_was_in_the_batch(runtime):
    clock = ManualClock(50.0)
    runtime.allocate_kv(40)
    scheduler = Scheduler(Limits(4, 16), BlockPool(40, block_size=runtime.block_size))
    core = Core(Timed(runtime, clock), scheduler, blocks=40, clock=clock)
    (early,) = added(core, Request("a", (1, 2, 3), 9))
    core.iterate()
    clock.advance(7.0)  # nothing runs
    (late,) = added(core, Request("b", (1, 2), 9))
    core.iterate()
    last = core.iterate()
    lengths = len(last.plan.chunks)

    assert lengths == 2
    assert early.timings(clock.now(), last.device_clock).device == last.device_clock
    assert late.device_joined == 1.0
    assert late.timings(clock.now(), last.device_clock).device == last.device_clock - 1.0


class Stuck:
    """A constraint that nothing satisfies after some tokens."""

    def __init__(self, after: int) -> None:
        self._left = after

    def mask(self, logits: np.ndarray) -> None:
        if not self._left:
            logits[:] = -np.inf

    def accept(self, _token: int) -> None:
        self._left -= 1

    @property
    def is_complete(self) -> bool:
        return False


class UpTo(Stuck):
    """A constraint that is complete after some tokens."""

    @property
    def is_complete(self) -> bool:
        return not self._left


HOT = Sampling(temperature=3.0, seed=5)  # the choices of a request differ
PROMPT = tuple(range(10, 20))


def test_choices_draw_as_if_each_were_alone(runtime, answer):
    core = core_of(runtime)
    request = Request("a", PROMPT, 6, HOT, choices=3)
    choices = added(core, request)
    run_out(core)

    answers = [said(choice) for choice in choices]
    assert answers == [answer(request, choice) for choice in range(3)]
    assert len({tuple(one) for one in answers}) == 3
    assert runtime.copied == 2


def test_a_second_prompt_of_the_same_beginning_is_hardly_computed(runtime, answer):
    core = core_of(runtime)
    first, second = Request("a", PROMPT, 1), Request("b", (*PROMPT, 5), 3)
    added(core, first)
    run_out(core)
    (sequence,) = added(core, second)

    assert computed(run_out(core)) == len(second.prompt) - 8 + 2
    assert said(sequence) == answer(second)


def test_equal_tokens_under_other_images_are_not_shared(runtime, answer):
    core = core_of(runtime)
    images = [PromptImage(2, bytes([n]), np.full((5, 2), n, np.float32)) for n in (7, 8)]
    requests = [Request("a", PROMPT, 3, images=(image,)) for image in images]
    answers = []
    for request in [*requests, requests[0]]:
        (sequence,) = added(core, request)
        run_out(core)
        answers.append(said(sequence))

    assert answers == [answer(requests[0]), answer(requests[1]), answer(requests[0])]
    assert answers[0] != answers[1]
    assert core.scheduler.pool.account().hit_tokens == 8


def test_an_image_may_be_cut_by_chunks(runtime, answer):
    image = PromptImage(1, b"i", np.arange(12, dtype=np.float32).reshape(6, 2))
    request = Request("a", PROMPT, 3, images=(image,))
    core = core_of(runtime, limits=Limits(1, 3))
    (sequence,) = added(core, request)
    run_out(core)

    assert said(sequence) == answer(request)


def failing(core: Core, request: Request, beside: Request) -> tuple[list[Failure], list[int]]:
    """Run a request that fails beside another one; return the failures and what that one got."""
    added(core, request)
    (other,) = added(core, beside)
    iterations = run_out(core)
    assert core.scheduler.pool.usage == 0
    return [failure for one in iterations for failure in one.failures], said(other)


@pytest.mark.parametrize("choices", [1, 3])
def test_logits_that_are_not_finite_end_one_request(runtime, answer, poison: int, choices: int):
    bad, good = Request("bad", (1, 2, poison), 5, choices=choices), Request("good", PROMPT, 8)
    failures, got = failing(core_of(runtime), bad, good)

    assert [failure.sequence.request.id for failure in failures] == ["bad"]
    assert isinstance(failures[0].error, DrawError)
    assert got == answer(good)


def test_a_constraint_that_gets_stuck_ends_one_request_with_all_its_choices(runtime, answer):
    bad = Request("bad", (1, 2, 3), 9, HOT, choices=2, constraint=lambda: Stuck(2))
    good = Request("good", PROMPT, 8)
    failures, got = failing(core_of(runtime), bad, good)

    assert len(failures) == 1
    assert isinstance(failures[0].error, DrawError)
    assert got == answer(good)


def test_choices_that_fail_together_are_one_failure(runtime):
    core = core_of(runtime)
    leader, *_ = added(core, Request("a", PROMPT, 9, HOT, choices=3, constraint=lambda: Stuck(2)))
    core.iterate()
    core.iterate()
    core.scheduler.remove(leader)

    assert len([failure for one in run_out(core) for failure in one.failures]) == 1


def test_a_failed_request_is_not_computed_on_in_the_same_iteration(runtime):
    core = core_of(runtime)
    leader, other = added(
        core, Request("a", PROMPT, 9, HOT, choices=2, constraint=lambda: Stuck(3))
    )
    while len(said(other)) < 2:
        core.iterate()
    core.scheduler._preempt(other)
    iteration = core.iterate()

    assert [chunk.count for chunk in iteration.plan.chunks] == [1, 2]
    assert [chunk.sequence for chunk in iteration.computed] == [leader]
    assert len(iteration.failures) == 1
    assert core.scheduler.pool.usage == 0


def refuse() -> Stuck:
    raise RuntimeError("unbalanced bracket at 7")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"constraint": refuse}, "unbalanced bracket at 7", id="constraint"),
        pytest.param(
            {"sampling": Sampling(logit_bias=((999, 1.0),))}, "outside the vocabulary", id="bias"
        ),
    ],
)
def test_settings_that_do_not_fit_the_model_end_one_request(
    runtime, answer, fields: dict, reason: str
):
    good = Request("good", PROMPT, 8)
    failures, got = failing(core_of(runtime), Request("bad", (1, 2, 3), 9, **fields), good)

    assert isinstance(failures[0].error, BadSamplingError)
    assert reason in str(failures[0].error)
    assert got == answer(good)


def test_a_complete_constraint_ends_its_answer(runtime):
    core = core_of(runtime)
    (sequence,) = added(core, Request("a", PROMPT, 9, constraint=lambda: UpTo(3)))
    run_out(core)

    assert len(said(sequence)) == 3


def test_where_memory_is_short_the_batch_shrinks_and_everybody_is_answered(runtime, answer):
    runtime.most_rows = 2
    core = core_of(runtime)
    requests = [Request(str(n), (n, *PROMPT), 6) for n in range(5)]
    sequences = [added(core, request)[0] for request in requests]
    iterations = run_out(core)

    assert [said(one) for one in sequences] == [answer(request) for request in requests]
    assert sum(one.preemptions for one in iterations) > 0
    assert not [one.failures for one in iterations if one.failures]


def test_a_request_that_cannot_be_computed_even_alone_ends_in_one_error(runtime):
    runtime.most_rows = 0
    core = core_of(runtime)
    for name in "ab":
        added(core, Request(name, PROMPT, 6))
    failures = [failure for one in run_out(core) for failure in one.failures]

    assert sorted(failure.sequence.request.id for failure in failures) == ["a", "b"]
    assert all(isinstance(failure.error, OutOfMemoryError) for failure in failures)


def test_waking_allocates_anew_and_forgets_what_was_cached(runtime, answer):
    core = core_of(runtime)
    request = Request("a", PROMPT, 3)
    added(core, request)
    run_out(core)
    core.sleep(SleepLevel.HOST_WEIGHTS)
    core.sleep(SleepLevel.HOST_WEIGHTS)
    core.wake()
    core.wake()
    (again,) = added(core, request)

    assert computed(run_out(core)) == len(PROMPT) + 2
    assert said(again) == answer(request)
    assert runtime.calls == ["allocate_kv", "sleep 1", "wake", "allocate_kv"]


def test_an_engine_that_starts_with_a_batch_decodes_it_in_the_same_arrays(runtime):
    core = core_of(runtime)
    added(core, Request("a", PROMPT, 9))
    core.iterate()
    batches = []
    step = runtime.step
    runtime.step = lambda batch: batches.append(batch) or step(batch)
    for _ in range(3):
        core.iterate()

    assert batches[0].tokens is batches[1].tokens


# Prompts over few tokens, so that many begin alike.
prompts = st.lists(st.integers(0, 1), min_size=1, max_size=14).map(tuple)
requests = st.fixed_dictionaries(
    {
        "prompt": prompts,
        "max_tokens": st.integers(1, 10),
        "choices": st.integers(1, 3),
        "priority": st.integers(-2, 2),
        "sampling": st.sampled_from([HOT, Sampling(temperature=0.0)]),
        "constraint": st.sampled_from([None, None, None, lambda: Stuck(2), refuse]),
    }
)


class CoreMachine(RuleBasedStateMachine):
    """One engine under fire. `runtime_type` and `answer` are set by the test."""

    runtime_type: type
    answer: Callable[[Request, int], list[int]]

    @initialize(
        limits=st.builds(Limits, st.integers(1, 5), st.integers(6, 20)),
        blocks=st.integers(8, 24),
        block_size=st.sampled_from([1, 4, 24]),
        admission=st.sampled_from([Continuous(), Static(2), Dynamic(3, 5.0)]),
    )
    def start(
        self,
        limits: Limits,
        blocks: int,
        block_size: int,
        admission: Continuous | Static | Dynamic,
    ) -> None:
        self.runtime = self.runtime_type(block_size)
        blocks = max(blocks, 1 + 24 // block_size)
        self.core = core_of(self.runtime, blocks=blocks, limits=limits, admission=admission)
        self.clock = self.core._clock
        self.scheduler, self.limits = self.core.scheduler, limits
        self.live: list[list[Sequence]] = []
        self.ended: list[Sequence] = []
        self.count = 0

    @rule(fields=requests)
    def arrive(self, fields: dict) -> None:
        self.count += 1
        request = Request(str(self.count), **fields)
        sequences = sequences_of(request, self.clock.monotonic())
        for sequence in sequences:
            self.scheduler.add(sequence)
        self.live.append(sequences)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 99), choice=st.none() | st.integers(0, 2))
    def cancel(self, which: int, choice: int | None) -> None:
        sequences = self.live[which % len(self.live)]
        leaving = [one for one in sequences if choice is None or one.choice == choice]
        for one in leaving:
            self.scheduler.remove(one)
        self._leave(leaving)

    @rule(most=st.none() | st.integers(1, 2))
    def change_memory(self, most: int | None) -> None:
        self.runtime.most_rows = most

    @rule(seconds=st.floats(0, 8))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(times=st.integers(1, 5))
    def iterate(self, times: int) -> None:
        for _ in range(times):
            self._iterate()

    def _iterate(self) -> Iteration:
        before = {id(one) for one in self.scheduler.running}
        iteration = self.core.iterate()
        self._check_plan(iteration, before)
        for outcome in iteration.outcomes:
            if outcome.finish is not None:
                self._leave([outcome.sequence])
                self.ended.append(outcome.sequence)
        for failure in iteration.failures:
            everybody = [one for each in self.live for one in each]
            self._leave(
                [one for one in everybody if one.request.id == failure.sequence.request.id]
            )
        return iteration

    def _leave(self, leaving: list[Sequence]) -> None:
        self.live = [
            rest for each in self.live if (rest := [one for one in each if one not in leaving])
        ]

    def _check_plan(self, iteration: Iteration, before: set[int]) -> None:
        chunks: list[Chunk] = iteration.plan.chunks
        assert sum(chunk.count for chunk in chunks) <= self.limits.token_budget
        assert len({id(chunk.sequence) for chunk in chunks}) == len(chunks)
        decoding = [chunk for chunk in chunks if chunk.is_decode]
        assert chunks[: len(decoding)] == decoding
        assert all(id(chunk.sequence) in before for chunk in decoding)

    @invariant()
    def blocks_have_as_many_users_as_sequences_that_hold_them(self) -> None:
        pool = self.scheduler.pool
        users = Counter(block for one in self.scheduler.running for block in one.blocks)
        account = pool.account()

        assert users == {block: count for block, count in enumerate(pool._users) if count}
        assert account.used == len(users)
        assert account.used + account.cached + account.free == account.blocks
        assert account.shared == sum(count > 1 for count in users.values())
        assert set(pool._free) | set(pool._cached) == set(range(1, account.blocks + 1)) - set(
            users
        )
        assert account.held_tokens == sum(self._held().values())

    def _held(self) -> dict[int, int]:
        """Tokens in each used block, from what its users have computed."""
        size = self.scheduler.pool.block_size
        return {
            block: max(0, min(size, one.computed - index * size))
            for one in self.scheduler.running
            for index, block in enumerate(one.blocks)
        }

    @invariant()
    def nobody_writes_where_another_one_reads(self) -> None:
        pool = self.scheduler.pool
        for one in self.scheduler.running:
            own = one.blocks[one.computed // pool.block_size :]
            assert all(pool._users[block] == 1 and block not in pool._names for block in own)

    @invariant()
    def everybody_is_in_one_place_and_the_queue_in_order(self) -> None:
        waiting, running = self.scheduler.waiting, self.scheduler.running

        assert len(running) <= self.limits.slots
        assert sorted(waiting, key=lambda one: one.rank) == waiting
        assert Counter(map(id, waiting + running)) == Counter(id(o) for e in self.live for o in e)
        assert all(one.is_waiting and not one.blocks for one in waiting)
        assert not any(one.is_waiting for one in running)

    def teardown(self) -> None:
        if not hasattr(self, "core"):
            return
        for _ in range(3000):
            if not self.live:
                break
            self.clock.advance(1.0)
            self._iterate()

        assert not self.live
        assert not self.scheduler.has_work
        assert self.scheduler.pool.usage == 0
        for one in self.ended:
            assert said(one) == self.answer(one.request, one.choice)


def test_every_request_ends_as_if_alone_and_nothing_leaks(runtime_type: type, answer):
    class Machine(CoreMachine):
        pass

    Machine.runtime_type, Machine.answer = runtime_type, staticmethod(answer)
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
    )
