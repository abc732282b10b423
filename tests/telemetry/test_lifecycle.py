import pytest

from telemetry.lifecycle import ReplicaState, can_move

ABSENT, STARTING, STANDBY, SERVING, ASLEEP, DRAINING, STOPPED, FAILED = ReplicaState

LEGAL = {
    (ABSENT, STARTING),
    (STARTING, STANDBY), (STARTING, STOPPED),
    (STANDBY, SERVING), (STANDBY, ASLEEP), (STANDBY, DRAINING), (STANDBY, STOPPED),
    (SERVING, STANDBY), (SERVING, DRAINING),
    (ASLEEP, STANDBY), (ASLEEP, DRAINING), (ASLEEP, STOPPED),
    (DRAINING, STOPPED),
    (ABSENT, FAILED), (STARTING, FAILED), (STANDBY, FAILED), (SERVING, FAILED),
    (ASLEEP, FAILED), (DRAINING, FAILED),
}  # fmt: skip


@pytest.mark.parametrize("after", ReplicaState)
@pytest.mark.parametrize("before", ReplicaState)
def test_only_legal_moves_are_possible(before, after):
    assert can_move(before, after) == ((before, after) in LEGAL)


def test_ready_means_that_the_weights_are_loaded():
    assert {state for state in ReplicaState if state.is_ready} == {STANDBY, SERVING}


def test_nothing_follows_what_is_over():
    over = {state for state in ReplicaState if state.is_over}

    assert over == {STOPPED, FAILED}
    assert not any(can_move(before, after) for before in over for after in ReplicaState)


def test_states_are_written_as_words():
    assert f"{ReplicaState.STANDBY}" == "standby"
    assert ReplicaState("standby") is ReplicaState.STANDBY
