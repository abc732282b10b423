"""Publication: the autoscaler's own metrics, every state and reason of them from the start."""

from autoscaler.lead_time import Lead
from autoscaler.observation import Fleet
from autoscaler.plan import Plan, Reason
from telemetry import catalog
from telemetry.lifecycle import ReplicaState
from telemetry.publish import Metrics


class Publication:
    """What the autoscaler of one model shows of itself."""

    def __init__(self, metrics: Metrics, *, model: str) -> None:
        self._replicas = metrics.gauge(catalog.REPLICAS)
        self._wanted = metrics.gauge(catalog.REPLICAS_WANTED)
        self._seconds = metrics.counter(catalog.REPLICA_SECONDS)
        self._decisions = metrics.counter(catalog.PLAN_DECISIONS)
        self._capacity = metrics.gauge(catalog.CAPACITY)
        self._leads = metrics.gauge(catalog.LEAD_TIME)
        self._ticks = metrics.histogram(catalog.AUTOSCALER_TICK)
        self._errors = metrics.counter(catalog.AUTOSCALER_ERRORS)
        self._model = model
        self._last: tuple[float, Fleet] | None = None
        for reason in Reason:
            self._decisions.labels(model=model, reason=reason.value)
        for state in ReplicaState:
            self._replicas.labels(model=model, state=state.value)
            self._seconds.labels(model=model, state=state.value)

    def fleet(self, fleet: Fleet, *, now: float) -> None:
        """Show the fleet as of `now`, and count the time until now for the states it was in."""
        before, was = self._last or (now, fleet)
        for state, count in was.counts.items():
            elapsed = max(now - before, 0.0)
            self._seconds.labels(model=self._model, state=state.value).inc(elapsed * count)
        for state, count in fleet.counts.items():
            self._replicas.labels(model=self._model, state=state.value).set(count)
        self._last = (now, fleet)

    def plan(self, plan: Plan) -> None:
        """Show what is wanted and count the decision; an unknown capacity is not shown."""
        self._wanted.labels(model=self._model, tier="serving").set(plan.serving)
        self._wanted.labels(model=self._model, tier="standby").set(plan.standby)
        self._decisions.labels(model=self._model, reason=plan.reason.value).inc()
        if "capacity" in plan.numbers:
            self._capacity.labels(model=self._model).set(plan.numbers["capacity"])

    def lead(self, lead: Lead) -> None:
        """Show the lead times that plans go by."""
        self._leads.labels(model=self._model, step="start").set(lead.start)
        self._leads.labels(model=self._model, step="wake").set(lead.wake)

    def turn(self, seconds: float) -> None:
        """Note how long one turn of the loop took."""
        self._ticks.observe(seconds)

    def error(self) -> None:
        """Count a turn of the loop, or a part of one, that failed."""
        self._errors.inc()
