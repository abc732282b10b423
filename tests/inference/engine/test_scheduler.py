from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.engine.forward import forward
from inference.engine.kv_cache import BlockPool
from inference.engine.scheduler import Chunk, Limits, Scheduler
from inference.engine.sequence import Request, Sequence


def sequence(name: str, prompt: int, max_tokens: int = 8) -> Sequence:
    return Sequence(Request(name, tuple(range(1, prompt + 1)), max_tokens), arrived=0.0)


def scheduler(*, slots: int = 4, budget: int = 16, blocks: int = 100) -> Scheduler:
    return Scheduler(Limits(slots, budget), BlockPool(blocks, block_size=4))


def iterate(one: Scheduler) -> list[tuple[str, int]]:
    """Run one iteration in which every token drawn is a 7; return (request, tokens) computed."""
    chunks = one.next_iteration()
    one.advance(chunks)
    for chunk in chunks:
        if chunk.draws and chunk.sequence.append(7):
            one.remove(chunk.sequence)
    return [(chunk.sequence.request.id, chunk.count) for chunk in chunks]


def test_a_prompt_is_computed_then_tokens_one_by_one():
    one = scheduler()
    one.add(sequence("a", 5, max_tokens=3))

    assert [iterate(one) for _ in range(3)] == [[("a", 5)], [("a", 1)], [("a", 1)]]
    assert not one.has_work


def test_requests_join_a_running_batch():
    one = scheduler()
    one.add(sequence("a", 5))
    iterate(one)
    one.add(sequence("b", 3))

    assert iterate(one) == [("a", 1), ("b", 3)]


def test_a_place_is_taken_as_soon_as_it_is_free():
    one = scheduler(slots=1)
    one.add(sequence("a", 2, max_tokens=2))
    one.add(sequence("b", 2))

    assert [iterate(one) for _ in range(3)] == [[("a", 2)], [("a", 1)], [("b", 2)]]


def test_a_long_prompt_is_cut_into_chunks_and_decoding_goes_on_beside_it():
    one = scheduler(budget=16)
    one.add(sequence("a", 3, max_tokens=20))
    iterate(one)
    one.add(sequence("long", 40, max_tokens=2))

    assert [iterate(one) for _ in range(4)] == [
        [("a", 1), ("long", 15)],
        [("a", 1), ("long", 15)],
        [("a", 1), ("long", 10)],
        [("a", 1), ("long", 1)],
    ]


def test_first_come_first_served():
    one = scheduler(budget=16)
    for name in "abc":
        one.add(sequence(name, 10))

    assert iterate(one) == [("a", 10), ("b", 6)]
    assert iterate(one) == [("a", 1), ("b", 4), ("c", 10)]


def test_a_request_that_needs_more_blocks_is_not_overtaken():
    one = scheduler(blocks=1 + 6)
    one.add(sequence("a", 10, max_tokens=2))
    iterate(one)
    one.add(sequence("large", 16, max_tokens=4))
    one.add(sequence("small", 1, max_tokens=1))

    assert iterate(one) == [("a", 1)]
    assert iterate(one) == [("large", 15 + 1)]


def test_the_youngest_gives_way_when_blocks_run_out_and_is_computed_again():
    one = scheduler(blocks=1 + 4)
    one.add(sequence("old", 6, max_tokens=8))
    one.add(sequence("young", 6, max_tokens=4))

    steps = [iterate(one) for _ in range(12)]

    assert steps[0] == [("old", 6), ("young", 6)]
    assert steps[3] == [("old", 1)]
    assert [step for step in steps if step][8] == [("young", 8 + 1)]
    assert not one.has_work
    assert one.pool.usage == 0


def test_removing_frees_blocks_wherever_the_sequence_is():
    one = scheduler(slots=1)
    running, waiting = sequence("a", 9), sequence("b", 9)
    one.add(running)
    one.add(waiting)
    iterate(one)
    for _ in range(2):
        one.remove(waiting)
        one.remove(running)

    assert not one.has_work
    assert one.pool.usage == 0


def test_what_can_never_fit_is_refused():
    with pytest.raises(ValueError, match="13 tokens never fit into 12"):
        scheduler(blocks=1 + 3).add(sequence("a", 10, max_tokens=3))


@pytest.mark.parametrize(("slots", "budget"), [(0, 8), (8, 8)])
def test_limits_that_would_starve_are_refused(slots: int, budget: int):
    with pytest.raises(ValueError, match="starve"):
        Limits(slots, budget)


requests = st.builds(
    lambda prompt, max_tokens: (prompt, max_tokens),
    st.lists(st.integers(0, 96), min_size=1, max_size=20),
    st.integers(1, 12),
)
events = st.lists(st.one_of(requests, st.integers(0, 9), st.none()), max_size=30)


@settings(max_examples=60, deadline=None)
@given(
    events=events,
    limits=st.builds(Limits, st.integers(1, 5), st.integers(6, 20)),
    blocks=st.integers(9, 24),
)
def test_every_request_ends_as_if_alone_and_no_block_leaks(
    runtime_type: type,
    answer: Callable[[Request], list[int]],
    events: list,
    limits: Limits,
    blocks: int,
):
    """Arrivals, cancellations and iterations in any order."""
    runtime = runtime_type()
    runtime.allocate_kv(blocks)
    pool = BlockPool(blocks, block_size=runtime.block_size)
    one, live, answered = Scheduler(limits, pool), [], []

    def step() -> None:
        chunks = one.next_iteration()
        assert chunks or not one.has_work
        assert_sound(chunks, one, limits)
        tokens = forward(runtime, chunks)
        one.advance(chunks)
        for chunk, token in zip(chunks, tokens, strict=True):
            if token is not None and chunk.sequence.append(token):
                one.remove(chunk.sequence)
                live.remove(chunk.sequence)
                answered.append(chunk.sequence)

    for number, event in enumerate(events):
        match event:
            case (prompt, max_tokens):
                live.append(Sequence(Request(str(number), tuple(prompt), max_tokens), 0.0))
                one.add(live[-1])
            case int() if live:
                one.remove(live.pop(event % len(live)))
            case _:
                step()
    for _ in range(2000):
        if not one.has_work:
            break
        step()

    assert not live
    assert pool.usage == 0
    for done in answered:
        assert done.tokens[len(done.request.prompt) :] == answer(done.request)


def assert_sound(chunks: list[Chunk], one: Scheduler, limits: Limits) -> None:
    assert len(one.running) <= limits.slots
    assert sum(chunk.count for chunk in chunks) <= limits.token_budget
    held = [block for sequence in one.running for block in sequence.blocks]
    assert len(held) == len(set(held))
    for chunk in chunks:
        assert len(chunk.sequence.blocks) * one.pool.block_size >= chunk.end
