import pytest

from autoscaler.observation import Fleet, Replica
from autoscaler.plan import Plan, Reason
from autoscaler.targets.moves import Moves, moves
from telemetry.lifecycle import ReplicaState

SERVING, STANDBY, STARTING = ReplicaState.SERVING, ReplicaState.STANDBY, ReplicaState.STARTING


def replica(name, state, *, since=0.0, load=0):
    return Replica(name, state, since, pid=1, url=None, in_flight=load)


def plan(serving, standby):
    return Plan(0.0, "m", serving, standby, Reason.DEMAND_NOW, {})


def named(todo):
    return {
        "wake": [one.id for one in todo.wake],
        "rest": [one.id for one in todo.rest],
        "drain": [one.id for one in todo.drain],
        "start": list(todo.start),
    }


def nothing(**but):
    return {"wake": [], "rest": [], "drain": [], "start": [], **but}


@pytest.mark.parametrize(
    ("replicas", "wanted", "expected"),
    [
        pytest.param([], (2, 1), nothing(start=[SERVING, SERVING, STANDBY]), id="from nothing"),
        pytest.param(
            [replica("a", SERVING), replica("b", STANDBY)], (1, 1), nothing(), id="already there"
        ),
        pytest.param(
            [replica("a", STARTING), replica("b", STARTING)], (1, 1), nothing(), id="on its way"
        ),
        pytest.param(
            [replica("a", STANDBY)],
            (1, 1),
            nothing(wake=["a"], start=[STANDBY]),
            id="wakes before it starts",
        ),
        pytest.param(
            [replica("young", STANDBY, since=9.0), replica("old", STANDBY, since=1.0)],
            (1, 1),
            nothing(wake=["old"]),
            id="wakes the oldest",
        ),
        pytest.param(
            [replica("a", STARTING), replica("b", STANDBY)],
            (3, 0),
            nothing(wake=["b"], start=[SERVING]),
            id="what starts will serve",
        ),
        pytest.param(
            [replica("idle", SERVING), replica("busy", SERVING, load=5)],
            (1, 1),
            nothing(rest=["idle"]),
            id="rests the least loaded",
        ),
        pytest.param(
            [replica("old", SERVING, since=1.0), replica("young", SERVING, since=9.0)],
            (1, 0),
            nothing(drain=["young"]),
            id="drains the newest",
        ),
        pytest.param(
            [replica("a", SERVING), replica("b", STANDBY), replica("c", STARTING)],
            (1, 1),
            nothing(drain=["c"]),
            id="gives up first what is not loaded",
        ),
        pytest.param(
            [replica("a", SERVING), replica("b", STANDBY)],
            (0, 0),
            nothing(drain=["b", "a"]),
            id="to nothing",
        ),
        pytest.param(
            [replica("a", ReplicaState.DRAINING), replica("b", ReplicaState.FAILED)],
            (1, 0),
            nothing(start=[SERVING]),
            id="what leaves or has failed is no supply",
        ),
    ],
)
def test_the_moves_that_take_a_fleet_to_a_plan(replicas, wanted, expected):
    assert named(moves(Fleet(tuple(replicas)), plan(*wanted))) == expected


def test_a_fleet_that_is_there_needs_nothing():
    assert moves(Fleet(), plan(0, 0)) == Moves()
