import pytest

from inference.runtimes.phases import Phases
from telemetry.clock import ManualClock


def test_phases_are_kept_in_order_with_their_seconds():
    clock = ManualClock()
    phases = Phases(clock)
    for phase, seconds in (("build", 3.0), ("kv", 1.0), ("build", 2.0)):
        with phases.measure(phase):
            clock.advance(seconds)

    assert list(phases.seconds.items()) == [("build", 2.0), ("kv", 1.0)]


def test_a_phase_that_fails_is_not_counted():
    phases = Phases(ManualClock())
    with pytest.raises(ValueError, match="broken"), phases.measure("build"):
        raise ValueError("broken")

    assert phases.seconds == {}
