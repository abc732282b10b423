from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inference.gateway.admission.waiting import Waiting
from inference.gateway.tenancy.priority import Priority
from tests.inference.gateway.admission.entries import entry_of

AGEING = 10.0
ENTRIES = st.lists(
    st.tuples(
        st.floats(0.0, 4.0),  # since the one before
        st.sampled_from(Priority),
        st.sampled_from("xyz"),
        st.floats(1.0, 50.0),
    ),
    min_size=1,
    max_size=25,
)


def join(waiting, entry):
    waiting.schedule(entry)
    waiting.add(entry)
    return entry


def fill(drawn):
    waiting, now = Waiting(ageing_seconds=AGEING), 0.0
    for gap, priority, tenant, work in drawn:
        now += gap
        join(waiting, entry_of(work, at=now, priority=priority, tenant=tenant))
    return waiting, now


def drain(waiting):
    served = []
    while waiting:
        first = next(waiting.in_order())
        waiting.remove(first, is_served=True)
        served.append(first)
    return served


@given(ENTRIES)
def test_the_order_is_that_in_which_it_drains(drawn):
    waiting, _ = fill(drawn)

    order = list(waiting.in_order())
    assert order == drain(waiting)


@given(ENTRIES)
def test_the_least_preferred_is_the_one_that_would_be_served_last(drawn):
    waiting, _ = fill(drawn)

    assert waiting.least_preferred is drain(waiting)[-1]


@given(ENTRIES, st.sampled_from(Priority), st.sampled_from("xyz"), st.floats(1.0, 50.0))
def test_the_work_before_a_newcomer_is_what_is_served_before_it(drawn, priority, tenant, work):
    waiting, now = fill(drawn)
    newcomer = entry_of(work, at=now, priority=priority, tenant=tenant)
    waiting.schedule(newcomer)
    told = waiting.work_before(newcomer)
    waiting.add(newcomer)
    order = list(waiting.in_order())

    before = sum(one.work for one in order[: order.index(newcomer)])
    assert abs(told - before) < 1e-6


@given(ENTRIES)
def test_an_urgent_newcomer_goes_before_all_who_have_not_aged(drawn):
    waiting, now = fill(drawn)
    newcomer = join(
        waiting, entry_of(1.0, at=now, priority=Priority.INTERACTIVE, tenant="a tenant of its own")
    )
    order = list(waiting.in_order())

    for one in order[: order.index(newcomer)]:
        behind = order[order.index(one) :]
        assert one.priority is Priority.INTERACTIVE or any(
            now - other.arrived >= one.priority.rank * AGEING
            for other in [*order[: order.index(one) + 1], *behind]
            if other.priority is one.priority
        )


@given(st.sampled_from(Priority), st.integers(1, 8))
def test_nobody_starves_under_a_flood_of_urgent_requests(priority, tenants):
    waiting = Waiting(ageing_seconds=AGEING)
    victim = join(waiting, entry_of(5.0, at=0.0, priority=priority, tenant="victim"))
    now = 0.0
    while True:  # one is served per second, and more come than that
        now += 1.0
        for n in range(2):
            tenant = f"t{(int(now) + n) % tenants}"
            join(waiting, entry_of(5.0, at=now, priority=Priority.INTERACTIVE, tenant=tenant))
        first = next(waiting.in_order())
        waiting.remove(first, is_served=True)
        if first is victim:
            break
        assert now < 10 * AGEING


class Moves(RuleBasedStateMachine):
    """Whoever joins leaves once, and the sums are those of who is there."""

    def __init__(self):
        super().__init__()
        self.waiting = Waiting(ageing_seconds=AGEING)
        self.there = []
        self.now = 0.0

    @rule(
        gap=st.floats(0, 20), priority=st.sampled_from(Priority), tenant=st.sampled_from("xy"),
        work=st.floats(1, 50), is_returning=st.booleans(),
    )  # fmt: skip
    def join(self, gap, priority, tenant, work, is_returning):
        self.now += gap
        entry = entry_of(
            work, at=self.now, priority=priority, tenant=tenant, is_returning=is_returning
        )
        self.there.append(join(self.waiting, entry))

    @precondition(lambda self: self.there)
    @rule(data=st.data(), is_served=st.booleans())
    def leave(self, data, is_served):
        one = data.draw(st.sampled_from(self.there))
        self.waiting.remove(one, is_served=is_served)
        self.there.remove(one)
        assert not one.is_waiting

    @invariant()
    def counts_agree(self):
        assert len(self.waiting) == len(self.there)
        assert set(self.waiting) == set(self.there) == set(self.waiting.in_order())
        assert self.waiting.tokens == sum(one.tokens for one in self.there)
        for priority in Priority:
            of_class = [one for one in self.there if one.priority is priority]
            assert self.waiting.count(priority) == len(of_class)
        urgent = sum(one.work for one in self.there if one.priority is not Priority.BATCH)
        assert abs(self.waiting.work_of_class(Priority.STANDARD) - urgent) < 1e-6


TestMoves = Moves.TestCase
