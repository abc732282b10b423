import pytest

from inference.gateway.admission.throughput import Throughput


def busy(throughput, seconds, *, slots, per_second, work=10.0, start=0.0):
    """Have `per_second` requests end each second of a busy time."""
    throughput.note(start, is_busy=True, slots=slots)
    for n in range(1, int(seconds * per_second) + 1):
        throughput.departed(work, slots / per_second)
        throughput.note(start + n / per_second, is_busy=True, slots=slots)
    return start + seconds


def test_nothing_is_known_at_first():
    assert Throughput().rate(4) is None


def test_a_prior_holds_until_something_is_measured():
    throughput = Throughput()
    throughput.suppose(5.0)
    assert throughput.rate(4) == 20.0

    busy(throughput, 10.0, slots=4, per_second=10.0)
    assert throughput.rate(4) == pytest.approx(100.0)
    throughput.suppose(5.0)
    assert throughput.rate(4) == pytest.approx(100.0)


def test_idle_time_does_not_count():
    throughput = Throughput()
    now = busy(throughput, 10.0, slots=4, per_second=10.0)
    throughput.note(now, is_busy=False, slots=4)
    throughput.note(now + 1000.0, is_busy=False, slots=4)
    busy(throughput, 10.0, slots=4, per_second=10.0, start=now + 1000.0)

    assert throughput.rate(4) == pytest.approx(100.0)


def test_what_ends_while_there_was_room_does_not_count():
    throughput = Throughput()
    throughput.note(0.0, is_busy=False, slots=4)
    for n in range(100):
        throughput.departed(10.0, 1.0)
        throughput.note(float(n), is_busy=False, slots=4)

    assert throughput.rate(4) is None
    assert throughput.mean_work == pytest.approx(10.0)


def test_half_the_slots_do_half_at_once():
    throughput = Throughput()
    busy(throughput, 10.0, slots=8, per_second=10.0)

    assert throughput.rate(4) == pytest.approx(throughput.rate(8) / 2)
    assert throughput.rate(0) is None


def test_slots_that_change_within_a_window_are_counted_for_their_time():
    throughput = Throughput()
    now = busy(throughput, 5.0, slots=8, per_second=16.0)
    busy(throughput, 20.0, slots=4, per_second=8.0, start=now)

    assert throughput.rate(8) == pytest.approx(160.0, rel=0.05)


def test_a_slower_tier_is_noticed():
    throughput = Throughput()
    now = busy(throughput, 10.0, slots=4, per_second=10.0)
    busy(throughput, 60.0, slots=4, per_second=5.0, start=now)

    assert throughput.rate(4) == pytest.approx(50.0, rel=0.1)


def test_a_tier_that_hangs_is_noticed_and_never_counted_as_known_to_do_nothing():
    fresh = Throughput()
    fresh.note(0.0, is_busy=True, slots=4)
    fresh.note(100.0, is_busy=True, slots=4)
    assert fresh.rate(4) is None

    throughput = Throughput()
    now = busy(throughput, 10.0, slots=4, per_second=10.0)
    for n in range(1, 41):
        throughput.note(now + n, is_busy=True, slots=4)
    assert 0 < throughput.rate(4) < 10.0


def test_a_batch_that_began_together_ends_together_and_is_not_taken_for_a_rush():
    throughput = Throughput()
    throughput.note(0.0, is_busy=True, slots=10)
    for n in range(1, 11):
        now = 8.0 * n
        throughput.note(now - 0.5, is_busy=True, slots=10)
        for _ in range(10):
            throughput.departed(10.0, 8.0)
            throughput.note(now, is_busy=True, slots=10)

    assert throughput.rate(10) == pytest.approx(100 / 8, rel=0.1)


def test_requests_cut_short_count_for_their_time():
    throughput = Throughput()
    now = busy(throughput, 10.0, slots=4, per_second=10.0)  # each takes 0.4 s
    throughput.note(now, is_busy=True, slots=4)
    for n in range(1, 401):
        throughput.cut_short(10.0, 0.2)
        throughput.note(now + n / 20, is_busy=True, slots=4)

    assert throughput.rate(4) == pytest.approx(100.0, rel=0.05)


def test_another_unit_of_work_rescales_what_is_known():
    throughput = Throughput()
    busy(throughput, 10.0, slots=4, per_second=10.0)
    throughput.rescale(3.0)

    assert throughput.rate(4) == pytest.approx(300.0)
    assert throughput.mean_work == pytest.approx(30.0)
