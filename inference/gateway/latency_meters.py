"""The metrics of latency: every histogram of a request, derived from its timeline."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import Histogram

from inference.gateway.timeline import Outcome, Stage, Timeline
from telemetry.catalog import (
    GATEWAY_STAGE,
    INTER_TOKEN_LATENCY,
    REQUEST_DURATION,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
)
from telemetry.publish import Metrics

PROVIDER = "warmfront"  # `gen_ai.provider.name`
Exemplar = dict[str, str]  # labels that lead from an observation to its trace


@dataclass(frozen=True, slots=True)
class _Operation:
    """The series of one model and operation, under the names of the GenAI conventions."""

    ttft: Histogram
    tpot: Histogram
    duration: Mapping[Outcome, Histogram]


@dataclass(frozen=True, slots=True)
class _Model:
    """The series of one model under our own names."""

    gap: Histogram
    stages: Mapping[Stage, Histogram]


class LatencyMeters:
    """Observes latencies; the series of a model are looked up once."""

    def __init__(self, metrics: Metrics) -> None:
        self._duration = metrics.histogram(REQUEST_DURATION)
        self._ttft = metrics.histogram(TIME_TO_FIRST_TOKEN)
        self._tpot = metrics.histogram(TIME_PER_OUTPUT_TOKEN)
        self._gap = metrics.histogram(INTER_TOKEN_LATENCY)
        self._stage = metrics.histogram(GATEWAY_STAGE)
        self._operations: dict[tuple[str, str], _Operation] = {}
        self._models: dict[str, _Model] = {}

    def introduce(self, model: str, operations: Iterable[str]) -> None:
        """Make a model's series, at zero."""
        self._model(model)
        for operation in operations:
            self._operation(model, operation)

    def finished(
        self,
        model: str,
        operation: str,
        timeline: Timeline,
        outcome: Outcome,
        exemplar: Exemplar | None = None,
    ) -> None:
        """Observe a request that is over; but for its duration, only where it was answered."""
        series = self._operation(model, operation)
        _observe(series.duration[outcome], timeline.duration, exemplar)
        if outcome is not Outcome.ANSWERED:
            return
        _observe(series.ttft, timeline.time_to_first_token, exemplar)
        _observe(series.tpot, timeline.time_per_output_token, exemplar)
        if timeline.sent is not None:  # else it was answered with what another one got
            stages = self._model(model).stages
            for stage, seconds in timeline.stages().items():
                _observe(stages[stage], seconds, exemplar)

    def gaps(self, model: str, exemplar: Exemplar | None = None) -> Callable[[float], None]:
        """Return what takes the gaps between the tokens of one request, in seconds."""
        gap = self._model(model).gap
        return gap.observe if exemplar is None else _Gaps(gap, exemplar)

    def _operation(self, model: str, operation: str) -> _Operation:
        found = self._operations.get((model, operation))
        if found is None:
            labels = (model, operation, PROVIDER)
            found = self._operations[model, operation] = _Operation(
                self._ttft.labels(*labels),
                self._tpot.labels(*labels),
                {one: self._duration.labels(*labels, one.value) for one in Outcome},
            )
        return found

    def _model(self, model: str) -> _Model:
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = _Model(
                self._gap.labels(model),
                {stage: self._stage.labels(model, stage.value) for stage in Stage},
            )
        return found


class _Gaps:
    """Observes gaps; those that are longer than all before them show which trace they are of."""

    __slots__ = ("_exemplar", "_histogram", "_longest")

    def __init__(self, histogram: Histogram, exemplar: Exemplar) -> None:
        self._histogram = histogram
        self._exemplar = exemplar
        self._longest = 0.0

    def __call__(self, seconds: float) -> None:
        if seconds > self._longest:
            self._longest = seconds
            self._histogram.observe(seconds, self._exemplar)
        else:
            self._histogram.observe(seconds)


def _observe(series: Histogram, seconds: float | None, exemplar: Exemplar | None) -> None:
    if seconds is not None:
        series.observe(seconds, exemplar)
