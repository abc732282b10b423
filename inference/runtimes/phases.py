"""How long each phase of a start took: numbers for metrics, and spans where they are traced."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.trace import NoOpTracer, Tracer

from telemetry.clock import Clock


class Phases:
    """The seconds of each phase, in the order in which they ran."""

    def __init__(self, clock: Clock, tracer: Tracer | None = None) -> None:
        self._clock = clock
        self._tracer = tracer or NoOpTracer()
        self._seconds: dict[str, float] = {}

    @property
    def seconds(self) -> Mapping[str, float]:
        """What each phase took the last time it ran."""
        return dict(self._seconds)

    def clear(self) -> None:
        """Forget what was measured: a new start begins."""
        self._seconds.clear()

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Measure the block as one phase; one that fails is not counted."""
        began = self._clock.monotonic()
        with self._tracer.start_as_current_span(f"runtime.{phase}"):
            yield
        self._seconds[phase] = self._clock.monotonic() - began
