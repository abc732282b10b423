import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.engine.admission import Admission, Continuous, Dynamic, Static
from inference.engine.kv_cache import BlockPool
from inference.engine.scheduler import Limits, Plan, Scheduler
from inference.engine.sequence import Request, Sequence, sequences_of
from inference.runtimes.runtime import BlockCopy


def sequence(
    name: str,
    prompt: int | tuple[int, ...],
    max_tokens: int = 8,
    *,
    arrived: float = 0.0,
    priority: int = 0,
) -> Sequence:
    tokens = tuple(_own_tokens(name, prompt)) if isinstance(prompt, int) else prompt
    return Sequence(Request(name, tokens, max_tokens, priority=priority), arrived)


def _own_tokens(name: str, count: int) -> range:
    """Tokens that no other name begins with."""
    first = 1000 * (1 + sum(name.encode()))
    return range(first, first + count)


def scheduler(
    *,
    slots: int = 4,
    budget: int = 16,
    blocks: int = 100,
    size: int = 4,
    admission: Admission | None = None,
) -> Scheduler:
    limits = Limits(slots, budget, ageing_seconds=10.0)
    pool = BlockPool(blocks, block_size=size)
    return Scheduler(limits, pool, admission=admission or Continuous())


def iterate(one: Scheduler, now: float = 0.0) -> list[tuple[str, int]]:
    """Run one iteration in which every token drawn is a 7; return (request, tokens) computed."""
    return [(chunk.sequence.request.id, chunk.count) for chunk in iterated(one, now).chunks]


def iterated(one: Scheduler, now: float = 0.0) -> Plan:
    plan = one.plan(now)
    one.advance(plan.chunks)
    for chunk in plan.chunks:
        if chunk.draws and chunk.sequence.append(7):
            one.remove(chunk.sequence)
    return plan


def ids(sequences: list[Sequence]) -> list[str]:
    return [one.request.id for one in sequences]


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


def test_the_urgent_are_served_first_and_equals_in_order_of_arrival():
    one = scheduler(slots=1)
    for name, priority in (("a", 0), ("b", 0), ("late but urgent", -1), ("idle", 5)):
        one.add(sequence(name, 2, priority=priority))

    assert ids(one.waiting) == ["late but urgent", "a", "b", "idle"]


@pytest.mark.parametrize(
    ("later", "first"), [pytest.param(9.9, "urgent"), pytest.param(10.1, "patient")]
)
def test_waiting_makes_up_for_priority(later: float, first: str):
    one = scheduler(slots=1)
    one.add(sequence("patient", 2, arrived=0.0))
    one.add(sequence("urgent", 2, arrived=later, priority=-1))

    assert ids(one.waiting)[0] == first


def test_nobody_starves_under_endless_urgent_arrivals():
    one = scheduler(slots=1)
    patient = sequence("patient", 2, max_tokens=1, priority=3)
    one.add(patient)
    for second in range(200):
        one.add(sequence(f"urgent {second}", 2, max_tokens=1, arrived=second, priority=-3))
        iterate(one, now=second)
        if patient.answered:
            break

    assert second == 60  # 6 levels, 10 seconds each


def test_the_least_senior_loses_its_blocks_whoever_joined_last():
    one = scheduler(blocks=1 + 4)
    one.add(sequence("casual", 6, max_tokens=8, priority=1))
    iterate(one)
    one.add(sequence("urgent", 6, max_tokens=8))
    plans = [iterated(one) for _ in range(3)]

    assert [plan.preemptions for plan in plans] == [0, 0, 1]
    assert ids(one.running) == ["urgent"]


def test_who_lost_its_blocks_returns_to_its_old_place():
    one = scheduler(blocks=1 + 4)
    one.add(sequence("old", 6, max_tokens=8))
    one.add(sequence("young", 6, max_tokens=8))
    one.add(sequence("younger", 1, max_tokens=1))
    while not iterated(one).preemptions:
        pass

    assert ids(one.waiting) == ["young", "younger"]


def test_who_lost_its_blocks_queues_behind_the_more_senior():
    one = scheduler(blocks=1 + 4)
    one.add(sequence("casual", 6, max_tokens=8, priority=1))
    one.add(sequence("old", 6, max_tokens=8))
    iterate(one)
    one.add(sequence("urgent", 12, max_tokens=4, priority=-1))
    while not iterated(one).preemptions:
        pass

    assert ids(one.waiting) == ["urgent", "casual"]


def test_nobody_joins_who_could_not_draw_a_second_token():
    one = scheduler(blocks=1 + 4)
    one.add(sequence("a", 9, max_tokens=3))
    iterate(one)
    one.add(sequence("b", 4, max_tokens=2))

    assert [iterate(one) for _ in range(3)] == [[("a", 1)], [("a", 1)], [("b", 4)]]


def test_cached_blocks_that_are_shared_are_no_room_for_others():
    one = scheduler(blocks=1 + 4)
    one.add(sequence("first", tuple(range(8)), max_tokens=1))
    iterate(one)
    one.add(sequence("second", 7, max_tokens=2))
    iterate(one)
    one.add(sequence("third", (*range(8), 50), max_tokens=2))

    assert one.pool.account().cached == 2
    assert [iterate(one) for _ in range(2)] == [[("second", 1)], [("third", 1)]]


def test_a_known_beginning_is_not_computed_again():
    one = scheduler()
    one.add(sequence("first", tuple(range(12)), max_tokens=1))
    iterate(one)
    one.add(sequence("second", (*range(10), 99, 98), max_tokens=1))
    plan = iterated(one)

    assert [(chunk.start, chunk.count) for chunk in plan.chunks] == [(8, 4)]
    assert plan.cached_tokens == 8
    assert one.pool.account().queried_tokens == 24
    assert one.pool.account().hit_tokens == 8


def test_a_beginning_can_be_shared_while_it_is_in_use():
    one = scheduler()
    for name in ("first", "second"):
        one.add(sequence(name, tuple(range(9)), max_tokens=8))
        iterate(one)

    assert one.pool.account().shared == 2


def test_of_a_wholly_known_prompt_the_last_token_is_computed_in_a_block_of_its_own():
    one = scheduler()
    one.add(sequence("first", tuple(range(8)), max_tokens=8))
    iterate(one)
    first = one.running[0]
    one.add(sequence("second", tuple(range(8)), max_tokens=8))
    plan = iterated(one)
    second = one.running[1]

    assert [(chunk.start, chunk.count) for chunk in plan.chunks][1] == (7, 1)
    assert plan.copies == [BlockCopy(first.blocks[1], second.blocks[1], 3)]
    assert second.blocks[0] == first.blocks[0]


def test_a_wholly_known_prompt_fits_where_nothing_else_does():
    one = scheduler(blocks=1 + 3)
    one.add(sequence("first", tuple(range(11)), max_tokens=1))
    iterate(one)
    one.add(sequence("second", tuple(range(8)), max_tokens=4))

    assert iterate(one) == [("second", 1)]
    assert [iterate(one) for _ in range(3)] == [[("second", 1)]] * 3
    assert not one.has_work


def with_choices(prompt: int, choices: int, max_tokens: int = 4) -> list[Sequence]:
    request = Request("n", tuple(range(prompt)), max_tokens, choices=choices)
    return sequences_of(request, 0.0)


def test_choices_wait_for_the_first_one_then_share_its_blocks_and_copy_the_last():
    one = scheduler()
    leader, *others = choices = with_choices(prompt=10, choices=3)
    for choice in choices:
        one.add(choice)

    assert iterate(one) == [("n", 10)]
    plan = iterated(one)
    assert [chunk.count for chunk in plan.chunks] == [1, 1, 1]
    assert [other.blocks[:2] for other in others] == [leader.blocks[:2]] * 2
    assert plan.copies == [BlockCopy(leader.blocks[2], other.blocks[2], 1) for other in others]
    assert one.pool.account().shared == 2


def test_others_may_join_while_choices_wait():
    one = scheduler(budget=16)
    for choice in with_choices(prompt=14, choices=2):
        one.add(choice)
    one.add(sequence("other", 2))

    assert iterate(one) == [("n", 14), ("other", 2)]


def test_a_choice_whose_leader_was_cancelled_computes_the_prompt():
    one = scheduler(budget=8)
    leader, other = with_choices(prompt=10, choices=2)
    one.add(leader)
    one.add(other)
    iterate(one)
    one.remove(leader)

    assert [iterate(one), iterate(one)] == [[("n", 2)], [("n", 1)]]
    assert one.pool.account().hit_tokens == 8


def test_where_a_block_is_a_whole_row_choices_copy_it():
    one = scheduler(size=64, blocks=1 + 3)
    leader, other = with_choices(prompt=10, choices=2)
    one.add(leader)
    one.add(other)
    iterate(one)
    plan = iterated(one)

    assert plan.copies == [BlockCopy(leader.blocks[0], other.blocks[0], 9)]
    assert [len(leader.blocks), len(other.blocks)] == [1, 1]


def test_static_batches_join_together_and_end_before_the_next_one():
    one = scheduler(slots=4, budget=16, admission=Static(2))
    for name, tokens in (("a", 1), ("b", 3), ("c", 1)):
        one.add(sequence(name, 10, max_tokens=tokens))

    steps = [iterate(one) for _ in range(6)]
    assert steps == [
        [("a", 10), ("b", 6)],
        [("b", 4)],
        [("b", 1)],
        [("b", 1)],
        [("c", 10)],
        [],
    ]


def test_a_static_batch_that_exceeds_the_budget_joins_over_several_iterations():
    one = scheduler(slots=4, budget=5, admission=Static(3))
    for name in "abc":
        one.add(sequence(name, 5, max_tokens=9))

    assert [len(iterate(one)) for _ in range(3)] == [1, 2, 3]


def test_a_dynamic_batch_starts_after_its_delay():
    one = scheduler(admission=Dynamic(4, delay=2.0))
    one.add(sequence("a", 3, arrived=10.0))

    assert one.pause(11.5) == 0.5
    assert iterate(one, now=11.5) == []
    assert one.pause(12.0) == 0.0
    assert iterate(one, now=12.0) == [("a", 3)]
    assert one.pause(12.0) == 0.0


def test_a_full_dynamic_batch_starts_at_once():
    one = scheduler(admission=Dynamic(2, delay=60.0))
    one.add(sequence("a", 3))
    one.add(sequence("b", 3))

    assert iterate(one) == [("a", 3), ("b", 3)]


def test_places_that_nobody_took_are_gone_with_those_they_were_opened_for():
    one = scheduler(slots=1, admission=Dynamic(2, delay=60.0))
    first, second = sequence("a", 3, arrived=10.0), sequence("b", 3, arrived=10.0)
    one.add(first)
    one.add(second)
    iterate(one, now=10.0)
    one.remove(first)
    one.remove(second)
    one.add(sequence("c", 3, arrived=11.0))

    assert one.pause(11.0) == 60.0


def test_without_work_there_is_nothing_to_look_for():
    assert scheduler().pause(5.0) is None


@given(
    order=st.lists(st.tuples(st.integers(-3, 3), st.floats(0, 60)), min_size=1, max_size=12),
)
def test_the_queue_is_sorted_by_priority_less_time_waited(order: list[tuple[int, float]]):
    one = scheduler()
    for number, (priority, arrived) in enumerate(order):
        one.add(sequence(str(number), 1, arrived=arrived, priority=priority))

    waited = [each.request.priority - (100 - each.arrived) / 10 for each in one.waiting]
    assert waited == pytest.approx(sorted(waited))
