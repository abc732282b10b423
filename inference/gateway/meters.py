"""The gateway's metrics: every series of a known model exists from the start, at zero."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from inference.gateway.completion import Operation
from inference.gateway.exchange import Exchange
from inference.gateway.latency_meters import Exemplar, LatencyMeters
from inference.gateway.objectives import Objectives, Target, judge
from inference.gateway.tenancy.priority import Priority
from inference.gateway.tenant_meters import TenantMeters
from inference.gateway.timeline import Outcome, Phase
from telemetry.catalog import (
    GATEWAY_ARRIVALS,
    GATEWAY_COLD_START_HITS,
    GATEWAY_DISCONNECTS,
    GATEWAY_DRAINED,
    GATEWAY_HEDGES,
    GATEWAY_IN_FLIGHT,
    GATEWAY_INPUT_TOKENS,
    GATEWAY_KEEPALIVES,
    GATEWAY_OBJECTIVES,
    GATEWAY_OUTPUT_TOKENS,
    GATEWAY_REQUESTS,
    GATEWAY_RETRIES,
)
from telemetry.labels import OTHER, CappedLabels
from telemetry.publish import Metrics

NO_KNOWN_MODEL = OTHER  # label of requests that name no known model
_USUAL_CODES = (200, 400, 429, 499, 500, 502, 503, 504)
_USUAL_OPERATIONS = (Operation.CHAT, Operation.TEXT)
_RETRIES = ("busy", "refused", "lost")
_HEDGES = ("won", "lost", "failed", "denied")
_RESULTS = {True: "met", False: "missed"}


@dataclass(frozen=True, slots=True)
class _Model:
    """The counters of one model, looked up once."""

    arrivals: Mapping[Priority, Counter]
    in_flight: Gauge
    cold_start_hits: Counter
    input_tokens: Counter
    output_tokens: Counter
    keepalives: Counter
    retries: Mapping[str, Counter]
    hedges: Mapping[str, Counter]
    disconnects: Mapping[Phase, Counter]
    objectives: Mapping[tuple[Priority, Target, bool], Counter]
    codes: dict[int, Counter] = field(default_factory=dict)


class Meters:
    """Counts what happens to requests; models come from the roster, never from a client."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        objectives: Objectives,
        region: str = "",
        tenant_label: Callable[[str], str] | None = None,
    ) -> None:
        """`tenant_label` bounds how many tenants have series of their own."""
        self._objectives = objectives
        self._latencies = LatencyMeters(metrics)
        self._tenants = TenantMeters(metrics, label=tenant_label or CappedLabels())
        self._arrivals = metrics.counter(GATEWAY_ARRIVALS)
        self._region = region
        self._requests = metrics.counter(GATEWAY_REQUESTS)
        self._in_flight = metrics.gauge(GATEWAY_IN_FLIGHT)
        self._cold_start_hits = metrics.counter(GATEWAY_COLD_START_HITS)
        self._input_tokens = metrics.counter(GATEWAY_INPUT_TOKENS)
        self._output_tokens = metrics.counter(GATEWAY_OUTPUT_TOKENS)
        self._keepalives = metrics.counter(GATEWAY_KEEPALIVES)
        self._retries = metrics.counter(GATEWAY_RETRIES)
        self._hedges = metrics.counter(GATEWAY_HEDGES)
        self._disconnects = metrics.counter(GATEWAY_DISCONNECTS)
        self._met = metrics.counter(GATEWAY_OBJECTIVES)
        drained = metrics.counter(GATEWAY_DRAINED)
        self._finished, self._killed = drained.labels("finished"), drained.labels("killed")
        self._models: dict[str, _Model] = {}

    def introduce(self, model: str, operations: Iterable[Operation] = _USUAL_OPERATIONS) -> None:
        """Make a model's series, at zero, so that their first increase can be seen."""
        self._latencies.introduce(model, [one.value for one in operations])
        counters = self._of(model)
        for code in _USUAL_CODES:
            self._code(model, counters, code)

    def introduce_tenant(self, tenant: str) -> None:
        """Make the series of a tenant that has a key."""
        self._tenants.introduce(tenant)

    def arrived(self, model: str, priority: Priority) -> None:
        """Count one request for a model: the demand, whatever becomes of it."""
        self._of(model).arrivals[priority].inc()

    def in_flight(self, model: str) -> AbstractContextManager[None]:
        """Count one request as accepted and not yet answered in full, while entered."""
        return self._of(model).in_flight.track_inprogress()

    def gaps(self, model: str, exemplar: Exemplar | None = None) -> Callable[[float], None]:
        """Return what takes the seconds between the tokens of one stream, as they come."""
        return self._latencies.gaps(model, exemplar)

    def retried(self, model: str, reason: str) -> None:
        """Count one request that is sent to another replica: one was busy, refused or lost."""
        self._of(model).retries[reason].inc()

    def hedged(self, model: str, result: str) -> None:
        """Count what became of a second try: won, lost, failed or denied."""
        self._of(model).hedges[result].inc()

    def kept_alive(self, model: str) -> None:
        """Count one comment on a stream that had nothing else to say."""
        self._of(model).keepalives.inc()

    def drained(self, *, finished: int, killed: int) -> None:
        """Count what became of the requests in flight when the gateway was told to end."""
        self._finished.inc(finished)
        self._killed.inc(killed)

    def refused(self, status: int, tenant: str | None = None) -> None:
        """Count one request that named no known model; the tenant, where its key told."""
        self._requests.labels(NO_KNOWN_MODEL, str(status)).inc()
        if tenant is not None:
            self._tenants.finished(tenant, Outcome.REJECTED, None)

    def finished(
        self, exchange: Exchange, *, was_short: bool, exemplar: Exemplar | None = None
    ) -> None:
        """Derive what a request tells once it is over; `was_short` is of its wait for a token."""
        model, operation = exchange.ask.model, exchange.ask.operation.value
        timeline, outcome = exchange.timeline, exchange.outcome
        counters = self._of(model)
        self._code(model, counters, exchange.status).inc()
        self._latencies.finished(model, operation, timeline, outcome, exemplar)
        self._tenants.finished(exchange.caller.tenant, outcome, timeline.usage)
        if timeline.usage is not None:
            counters.input_tokens.inc(timeline.usage.input_tokens)
            counters.output_tokens.inc(timeline.usage.output_tokens)
        if outcome is Outcome.DISCONNECTED:
            counters.disconnects[timeline.phase].inc()
        self._judge(exchange, counters, was_short=was_short)

    def _judge(self, exchange: Exchange, counters: _Model, *, was_short: bool) -> None:
        timeline, outcome = exchange.timeline, exchange.outcome
        objective = self._objectives.of(exchange.priority)
        for target, is_met in judge(timeline, outcome, objective):
            counters.objectives[exchange.priority, target, is_met].inc()
        is_late = timeline.is_late(objective=objective.ttft_seconds)
        if was_short and (is_late or outcome is Outcome.NO_REPLICA):
            counters.cold_start_hits.inc()

    def _of(self, model: str) -> _Model:
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = self._made(model)
        return found

    def _made(self, model: str) -> _Model:
        return _Model(
            arrivals={
                one: self._arrivals.labels(model, one.value, self._region) for one in Priority
            },
            in_flight=self._in_flight.labels(model),
            cold_start_hits=self._cold_start_hits.labels(model),
            input_tokens=self._input_tokens.labels(model),
            output_tokens=self._output_tokens.labels(model),
            keepalives=self._keepalives.labels(model),
            retries={one: self._retries.labels(model, one) for one in _RETRIES},
            hedges={one: self._hedges.labels(model, one) for one in _HEDGES},
            disconnects={one: self._disconnects.labels(model, one.value) for one in Phase},
            objectives={
                (priority, target, is_met): self._met.labels(
                    model, priority.value, target.value, result
                )
                for priority in Priority
                for target in Target
                for is_met, result in _RESULTS.items()
            },
        )

    def _code(self, model: str, counters: _Model, code: int) -> Counter:
        found = counters.codes.get(code)
        if found is None:
            found = counters.codes[code] = self._requests.labels(model, str(code))
        return found
