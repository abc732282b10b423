from autoscaler.targets.backoff import Backoff


def failing(count, **settings):
    """Fail one second after the other, each time of what was started in between."""
    backoff = Backoff(forget_seconds=10_000.0, **settings)
    for second in range(count):
        backoff.failed(float(second), started=second - 0.5)
    return backoff


def test_nothing_waits_before_anything_has_failed():
    assert Backoff().may_start(0.0)


def test_the_first_failure_is_replaced_at_once_and_later_ones_double_the_wait():
    waits = [failing(n, first_seconds=1.0, longest_seconds=5.0).wait_seconds for n in range(1, 7)]

    assert waits == [0.0, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_starting_waits_for_the_quiet_second_and_not_for_the_loud_one():
    backoff = failing(2, first_seconds=10.0)

    assert not backoff.may_start(10.0)
    assert backoff.may_start(11.0)


def test_many_that_die_of_one_cause_are_one_failure():
    backoff = Backoff()
    for moment in (100.0, 100.1, 100.2):
        backoff.failed(moment, started=50.0)

    assert backoff.wait_seconds == 0.0


def test_failures_are_forgotten_after_a_quiet_time():
    backoff = Backoff(first_seconds=10.0, forget_seconds=100.0)
    backoff.failed(0.0, started=-1.0)
    backoff.failed(1.0, started=0.5)
    backoff.failed(112.0, started=50.0)

    assert backoff.may_start(112.0)


def test_endless_failures_do_not_overflow():
    assert failing(3000, longest_seconds=60.0).wait_seconds == 60.0
