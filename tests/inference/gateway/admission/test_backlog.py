from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.admission.backlog import Backlog
from inference.gateway.admission.decision import TurnedAway
from inference.gateway.admission.entry import Lane
from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.admission.sizes import Size
from inference.gateway.admission.work import Pace
from inference.gateway.routing.choice import Capacity
from inference.gateway.routing.want import Want
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Usage
from tests.inference.gateway.admission.entries import entry_of

PLAIN = Lane(None, has_images=False)


def backlog_of(*, rate=None, slots=4, **settings):
    backlog = Backlog(AdmissionSettings(**settings), lambda: 0.0)
    backlog.supply.observe(Capacity(serving=1, slots=slots, free=0), 0.0)
    if rate is not None:
        backlog.supply.paced(Pace(5.0, rate / slots), Size(100, 20))
    return backlog


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 20.0), st.sampled_from(Priority), st.sampled_from("xyz"),
            st.integers(1, 400),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_overflow_never_sheds_one_that_goes_before_another_in_line(drawn):
    backlog = backlog_of(max_waiting=5, max_waiting_tokens=1000, ageing_seconds=10.0)
    entered, gone, now = [], [], 0.0
    for gap, priority, tenant, tokens in drawn:
        now += gap
        before = set(backlog.waiting)
        entry = entry_of(float(tokens), at=now, priority=priority, tenant=tenant)
        refusal, shed = backlog.enter(entry, now)
        entered.append(entry)
        if refusal is not None:
            assert refusal.reason is TurnedAway.QUEUE_FULL
            assert set(backlog.waiting) == before  # nobody made room in vain
            assert shed == []
            gone.append(entry)
        gone += shed
        _check_shed(backlog, entry, shed)
        assert len(backlog.waiting) <= 5
        assert backlog.waiting.tokens <= 1000
    assert sorted(map(id, [*gone, *backlog.waiting])) == sorted(map(id, entered))


def _check_shed(backlog, newcomer, shed):
    """All who are left go before those shed: put back, these would be served last."""
    for one in reversed(shed):
        backlog._add(one)
    order = list(backlog.waiting.in_order())
    for one in shed:
        assert order.pop() is one
        backlog.drop(one)
    assert newcomer not in shed


def test_a_request_larger_than_the_bound_on_tokens_may_wait_alone():
    backlog = backlog_of(max_waiting_tokens=100)
    refusal, _ = backlog.enter(entry_of(5000.0, at=0.0), 0.0)
    assert refusal is None

    refusal, _ = backlog.enter(entry_of(1.0, at=0.0), 0.0)
    assert refusal.reason is TurnedAway.QUEUE_FULL


def test_a_line_of_no_length_takes_nobody():
    refusal, _ = backlog_of(max_waiting=0).enter(entry_of(), 0.0)

    assert refusal.reason is TurnedAway.QUEUE_FULL


def test_who_would_be_next_is_let_in_however_slow_the_tier():
    backlog = backlog_of(rate=0.001)
    backlog.supply.sent(Want("m"))
    backlog.supply.ended(Want("m"), Usage(100, 20), seconds=1.0, first_token=None)
    assert backlog.standing(0.0).predicted_waits[Priority.INTERACTIVE] == pytest.approx(2e5)
    first = entry_of(10.0, priority=Priority.INTERACTIVE)
    assert backlog.enter(first, 0.0) == (None, [])

    refusal, _ = backlog.enter(entry_of(10.0, priority=Priority.INTERACTIVE), 0.0)
    assert refusal.reason is TurnedAway.PREDICTED_WAIT


def test_half_of_the_fleet_halves_what_may_wait():
    def admitted(slots):
        backlog = backlog_of(rate=100.0)
        backlog.supply.observe(Capacity(serving=1, slots=slots, free=0), 0.0)
        entries = [entry_of(10.0, at=0.0) for _ in range(100)]
        return sum(backlog.enter(one, 0.0)[0] is None for one in entries)

    assert admitted(4) == 29  # 280 units in 2.8 s, and the one behind them
    assert admitted(2) == 15


def test_those_told_to_come_back_are_told_different_times():
    backlog = backlog_of(rate=100.0)
    entries = [entry_of(10.0, at=0.0, priority=Priority.INTERACTIVE) for _ in range(60)]
    refusals = [refusal for one in entries if (refusal := backlog.enter(one, 0.0)[0])]
    told = [one.retry_after for one in refusals]

    assert len(told) > 40
    assert all(later - earlier > 0.09 for earlier, later in pairwise(told[5:]))


def test_a_wait_without_replicas_is_no_wait_for_room():
    backlog = backlog_of(rate=100.0, hold_seconds=30.0)
    backlog.noted(PLAIN, 0.0, is_served=False)
    entry = entry_of(10.0, at=0.0, priority=Priority.INTERACTIVE)
    backlog.enter(entry, 0.0)
    assert list(backlog.overdue(29.9)) == []
    backlog.noted(PLAIN, 29.0, is_served=True)
    assert list(backlog.overdue(30.4)) == []

    ((overdue, refusal),) = backlog.overdue(30.6)
    assert (overdue, refusal.reason) == (entry, TurnedAway.EXPIRED)


def test_the_next_hold_of_a_request_is_shorter_by_the_last():
    backlog = backlog_of(hold_seconds=30.0)
    backlog.noted(PLAIN, 0.0, is_served=False)
    entry = entry_of(at=0.0, is_returning=True, held_before=20.0)
    assert backlog.enter(entry, 0.0) == (None, [])
    assert list(backlog.overdue(9.0)) == []

    ((_, refusal),) = backlog.overdue(10.0)
    assert refusal.reason is None
    spent = entry_of(at=10.0, is_returning=True, held_before=30.0)
    assert backlog.enter(spent, 10.0)[0].reason is None


def test_with_admission_off_only_the_bound_turns_away():
    backlog = backlog_of(rate=0.001, is_on=False, max_waiting=3)
    entries = [entry_of(10.0, at=0.0, priority=Priority.INTERACTIVE) for _ in range(4)]
    reasons = [
        refusal and refusal.reason for one in entries if (refusal := backlog.enter(one, 0.0)[0])
    ]

    assert reasons == [TurnedAway.QUEUE_FULL]
    assert list(backlog.overdue(1e6)) == []


def test_a_new_weight_of_output_is_a_new_unit_of_work_and_of_throughput():
    backlog = backlog_of()
    want = Want("m", 100, 20)
    for second in range(30):
        backlog.supply.sent(Want("m", 100, 20, choices=4))
        backlog.settle(float(second))
        for _ in range(4):
            backlog.supply.ended(want, Usage(100, 20), seconds=1.0, first_token=None)
        backlog.settle(second + 1.0)
    assert backlog.standing(30.0).throughput == pytest.approx(4 * 200)

    backlog.supply.paced(Pace(50.0, per_slot=1.0), Size(100, 20))
    assert backlog.supply.work(want) == 100 + 50 * 20
    assert backlog.standing(30.0).throughput == pytest.approx(4 * 1100)
