import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.demand.demand import Demand
from forecaster.scoring.queueing import bill_queue
from forecaster.scoring.warm_pool import Pool, Replay, replay
from telemetry.series import Series, Window


def played(asked: list[float]) -> Replay:
    """Lay out decisions of one minute each, without a lead."""
    rates = np.array([0.0, *asked])
    demand = Demand("m", Series({}, Window(60.0, 60.0 * rates.size, 60.0), rates))
    return replay(demand, Pool(10.0, lead=0.0, every=60.0), first=0)


def by_hand(asked: list[float], replicas: list[float], patience: int) -> tuple[float, float]:
    """Serve the queue one step and one piece of work at a time."""
    waiting: list[list[float]] = []
    idle = late = 0.0
    for now, (rate, count) in enumerate(zip(asked, replicas, strict=True)):
        waiting.append([now, rate])
        room = 10.0 * count
        for piece in waiting:
            done = min(piece[1], room)
            room -= done
            piece[1] -= done
            late += done if now - piece[0] > patience else 0.0
        waiting = [piece for piece in waiting if piece[1] > 1e-9]
        idle += room
    return idle / 10, (late + sum(left for _, left in waiting)) / 10


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), min_size=1, max_size=25),
    st.integers(0, 4),
)
def test_the_bill_is_that_of_serving_piece_by_piece(
    steps: list[tuple[int, int]], patience: int
) -> None:
    asked, replicas = (list(map(float, column)) for column in zip(*steps, strict=True))
    idle, late = by_hand(asked, replicas, patience)

    found = bill_queue(np.array(replicas), played(asked), patience=60.0 * patience)

    assert found.idle == pytest.approx(idle, abs=1e-6)
    assert found.late == pytest.approx(late, abs=1e-6)


def test_work_that_waits_no_longer_than_its_patience_costs_nothing() -> None:
    replicas = np.array([1.0, 1.0, 1.0])

    patient = bill_queue(replicas, played([20, 0, 0]), patience=60)
    strict = bill_queue(replicas, played([20, 0, 0]), patience=0)

    assert (patient.late, patient.waiting, patient.left) == (0, 0.5, 0)
    assert strict.late == 1
    assert strict.cost(10) == strict.idle + 10


def test_in_a_gap_time_stands_still() -> None:
    replicas = np.array([1.0, 9.0, 1.0])

    assert bill_queue(replicas, played([20, float("nan"), 0])) == bill_queue(
        np.array([1.0, 1.0]), played([20, 0])
    )


def test_a_demand_that_is_all_gap_costs_nothing() -> None:
    assert bill_queue(np.array([3.0]), played([float("nan")])).cost(10) == 0
