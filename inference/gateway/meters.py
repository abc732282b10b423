"""The gateway's metrics: every series of a known model exists from the start, at zero."""

from collections.abc import Iterator
from contextlib import contextmanager

from inference.gateway.timeline import Outcome, Timeline
from telemetry.catalog import (
    GATEWAY_ARRIVALS,
    GATEWAY_COLD_START_HITS,
    GATEWAY_HELD,
    GATEWAY_IN_FLIGHT,
    GATEWAY_INPUT_TOKENS,
    GATEWAY_OUTPUT_TOKENS,
    GATEWAY_REQUESTS,
    GATEWAY_RETRIES,
    GATEWAY_ROSTER_ERRORS,
    REQUEST_DURATION,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
)
from telemetry.publish import Metrics

NO_KNOWN_MODEL = "other"  # label of requests that name no known model
_USUAL_CODES = (200, 400, 429, 499, 500, 502, 503, 504)


class Meters:
    """Counts what happens to requests; models come from the roster, never from a client."""

    def __init__(self, metrics: Metrics, *, ttft_objective_seconds: float) -> None:
        self._objective = ttft_objective_seconds
        self._arrivals = metrics.counter(GATEWAY_ARRIVALS)
        self._requests = metrics.counter(GATEWAY_REQUESTS)
        self._in_flight = metrics.gauge(GATEWAY_IN_FLIGHT)
        self._held = metrics.gauge(GATEWAY_HELD)
        self._cold_start_hits = metrics.counter(GATEWAY_COLD_START_HITS)
        self._roster_errors = metrics.counter(GATEWAY_ROSTER_ERRORS)
        self._retries = metrics.counter(GATEWAY_RETRIES)
        self._input_tokens = metrics.counter(GATEWAY_INPUT_TOKENS)
        self._output_tokens = metrics.counter(GATEWAY_OUTPUT_TOKENS)
        self._ttft = metrics.histogram(TIME_TO_FIRST_TOKEN)
        self._tpot = metrics.histogram(TIME_PER_OUTPUT_TOKEN)
        self._duration = metrics.histogram(REQUEST_DURATION)

    def introduce(self, model: str) -> None:
        """Make a model's series, at zero, so that their first increase can be seen."""
        for family in (
            self._arrivals, self._in_flight, self._held, self._cold_start_hits, self._retries,
            self._input_tokens, self._output_tokens, self._ttft, self._tpot,
        ):  # fmt: skip
            family.labels(model)
        for code in _USUAL_CODES:
            self._requests.labels(model, str(code))
        for outcome in Outcome:
            self._duration.labels(model, outcome.value)

    def roster_unreadable(self) -> None:
        """Count a reading of the process table that failed."""
        self._roster_errors.inc()

    def arrived(self, model: str) -> None:
        """Count one request for a model: the demand, whatever becomes of it."""
        self._arrivals.labels(model).inc()

    def retried(self, model: str) -> None:
        """Count one request that is sent to another replica."""
        self._retries.labels(model).inc()

    @contextmanager
    def in_flight(self, model: str) -> Iterator[None]:
        """Count one request as accepted and not yet answered in full."""
        with self._in_flight.labels(model).track_inprogress():
            yield

    @contextmanager
    def held(self, model: str) -> Iterator[None]:
        """Count one request as held for want of a replica."""
        with self._held.labels(model).track_inprogress():
            yield

    def refused(self, status: int) -> None:
        """Count one request that named no known model."""
        self._requests.labels(NO_KNOWN_MODEL, str(status)).inc()

    def finished(
        self, model: str, timeline: Timeline, outcome: Outcome, *, status: int, was_short: bool
    ) -> None:
        """Derive what a request tells once it is over; `was_short` is of its wait for a token."""
        self._requests.labels(model, str(status)).inc()
        if timeline.duration is not None:
            self._duration.labels(model, outcome.value).observe(timeline.duration)
        if timeline.time_to_first_token is not None:
            self._ttft.labels(model).observe(timeline.time_to_first_token)
        if timeline.time_per_output_token is not None:
            self._tpot.labels(model).observe(timeline.time_per_output_token)
        if timeline.usage is not None:
            self._input_tokens.labels(model).inc(timeline.usage.input_tokens)
            self._output_tokens.labels(model).inc(timeline.usage.output_tokens)
        is_missed = timeline.is_late(objective=self._objective)
        if was_short and (is_missed or outcome is Outcome.NO_REPLICA):
            self._cold_start_hits.labels(model).inc()
