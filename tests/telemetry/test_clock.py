from datetime import UTC, datetime

from telemetry.clock import ManualClock, SystemClock


def test_the_system_clock_is_in_seconds_since_the_epoch():
    clock = SystemClock()

    assert abs(datetime.now(UTC).timestamp() - clock.now()) < 60
    assert clock.monotonic() <= clock.monotonic()


def test_a_manual_clock_moves_only_when_told_to():
    clock = ManualClock(100.0)
    clock.advance(2.5)

    assert clock.now() == clock.now() == clock.monotonic() == 102.5
