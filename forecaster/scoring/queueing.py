"""The warm pool with a queue: what is not served waits, and costs when it waited for too long."""

from dataclasses import dataclass

import numpy as np

from forecaster.history import Floats
from forecaster.scoring.warm_pool import Replay


@dataclass(frozen=True, slots=True)
class QueueBill:
    """What a choice of replicas came to where unmet work carries over."""

    idle: float  # replica-minutes not worked
    late: float  # replica-minutes of work that was served after more than its patience, or never
    waiting: float  # mean minutes that work waits
    left: float  # replica-minutes of work unserved at the end

    def cost(self, beta: float) -> float:
        """Return idle replica-minutes plus `beta` for each one of late work."""
        return self.idle + beta * self.late


def bill_queue(replicas: Floats, played: Replay, *, patience: float = 60.0) -> QueueBill:
    """Bill one number of replicas for each decision; work is late after `patience` seconds.

    Work is served in the order it came. In a gap time stands still: nothing comes, nothing is
    served.
    """
    asked, served_at_most = _known(replicas, played)
    arrived = np.cumsum(asked)
    free = np.cumsum(asked - served_at_most)
    queued = free - np.minimum(np.minimum.accumulate(free), 0.0) if free.size else free
    served = arrived - queued
    late = _late(asked, arrived, served, max(0, round(patience / played.demand.step)))
    per_replica = played.pool.capacity / played.step_minutes
    total = float(asked.sum())
    return QueueBill(
        idle=float((served_at_most.sum() - served[-1:].sum()) / per_replica),
        late=float(late.sum() / per_replica),
        waiting=float(queued.sum() * played.step_minutes / total) if total > 0 else 0.0,
        left=float(queued[-1:].sum() / per_replica),
    )


def _known(replicas: Floats, played: Replay) -> tuple[Floats, Floats]:
    """Return the rate of each known step, and the rate that the replicas then serve."""
    asked = played.asked.ravel()
    known = np.isfinite(asked)
    each = np.repeat(replicas, played.asked.shape[1]) * played.pool.capacity
    return asked[known], each[known]


def _late(asked: Floats, arrived: Floats, served: Floats, patience: int) -> Floats:
    """Return how much of each step's work is still unserved `patience` steps later."""
    if not served.size:
        return served
    later = served[np.minimum(np.arange(served.size) + patience, served.size - 1)]
    return np.clip(arrived - later, 0.0, asked)
