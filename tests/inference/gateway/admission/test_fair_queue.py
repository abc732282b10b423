from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.admission.fair_queue import FairQueue
from tests.inference.gateway.admission.entries import entry_of

WORKS = st.floats(1.0, 100.0)


def join(queue, entry):
    entry.number = len(queue._by_joining) + 1000 * int(entry.arrived) + 1
    queue.schedule(entry)
    queue.add(entry)
    return entry


def serve(queue):
    first = next(iter(queue))
    queue.remove(first, is_served=True)
    return first


@given(works=st.lists(WORKS, min_size=1, max_size=30))
def test_one_tenant_is_served_first_come_first(works):
    queue = FairQueue()
    joined = [join(queue, entry_of(work, at=float(n))) for n, work in enumerate(works)]

    assert [serve(queue) for _ in works] == joined


@given(
    many=st.lists(WORKS, min_size=40, max_size=40),
    few=st.lists(WORKS, min_size=40, max_size=40),
    shares=st.tuples(st.floats(0.5, 4.0), st.floats(0.5, 4.0)),
)
def test_two_backlogged_tenants_get_work_by_their_shares(many, few, shares):
    """The bound of start-time fair queueing: one largest request of each."""
    queue = FairQueue()
    for n, (one, other) in enumerate(zip(many, few, strict=True)):
        join(queue, entry_of(one, at=2.0 * n, tenant="x", share=shares[0]))
        join(queue, entry_of(other, at=2.0 * n + 1, tenant="y", share=shares[1]))
    left = {"x": 40, "y": 40}
    done = {"x": 0.0, "y": 0.0}
    bound = max(many) / shares[0] + max(few) / shares[1]
    while True:
        served = serve(queue)
        left[served.tenant] -= 1
        done[served.tenant] += served.work / served.share
        if not all(left.values()):
            break
        assert abs(done["x"] - done["y"]) <= bound + 1e-6


def test_a_newcomer_does_not_pay_for_the_time_it_was_away():
    queue = FairQueue()
    for n in range(10):
        join(queue, entry_of(10.0, at=float(n), tenant="old"))
    for _ in range(5):
        serve(queue)
    new = join(queue, entry_of(10.0, at=20.0, tenant="new"))

    assert [serve(queue).tenant for _ in range(4)].count("new") == 1
    assert new not in list(queue)


def test_one_that_returns_goes_before_all_others():
    queue = FairQueue()
    join(queue, entry_of(1.0, at=0.0))
    returning = join(queue, entry_of(1.0, at=5.0, is_returning=True))
    earlier = join(queue, entry_of(1.0, at=3.0, is_returning=True))

    assert [serve(queue), serve(queue)] == [earlier, returning]


def test_who_leaves_costs_its_tenant_nothing():
    queue = FairQueue()
    join(queue, entry_of(10.0, at=0.0, tenant="other"))
    gone = join(queue, entry_of(1000.0, at=1.0, tenant="a"))
    queue.remove(gone, is_served=False)
    join(queue, entry_of(10.0, at=2.0, tenant="other"))
    small = join(queue, entry_of(10.0, at=3.0, tenant="a"))

    serve(queue)
    assert serve(queue) is small


@given(
    entries=st.lists(st.tuples(WORKS, st.sampled_from("xyz")), max_size=20),
    work=WORKS,
    tenant=st.sampled_from("xyz"),
)
def test_the_work_before_a_newcomer_is_that_of_those_served_before_it(entries, work, tenant):
    queue = FairQueue()
    for n, (each, whose) in enumerate(entries):
        join(queue, entry_of(each, at=float(n), tenant=whose))
    newcomer = entry_of(work, at=99.0, tenant=tenant)
    newcomer.number = 10**9
    queue.schedule(newcomer)
    told = queue.work_before(newcomer)
    queue.add(newcomer)
    before = 0.0
    while (served := serve(queue)) is not newcomer:
        before += served.work

    assert abs(told - before) < 1e-6
