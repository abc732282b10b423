"""The engine's thread: take commands in -> iterate -> pace -> emit, as long as there is work."""

import threading
from collections.abc import Callable

import structlog

from inference.engine.core import Core, Iteration
from inference.engine.progress import Progress
from telemetry.clock import Clock

STOP_PATIENCE_SECONDS = 5.0  # longest wait for an iteration that is under way

_log = structlog.get_logger(__name__)


class Worker:
    """Owns a core from `start` to `stop`; what others want of it, they send."""

    def __init__(
        self,
        core: Core,
        clock: Clock,
        min_iteration_seconds: float,
        *,
        emit: Callable[[Iteration, float], None],
        fail: Callable[[str], None],
    ) -> None:
        self.progress = Progress()
        self.account = core.scheduler.pool.account()  # replaced as a whole, for any thread
        self._core = core
        self._clock = clock
        self._min_iteration = min_iteration_seconds
        self._emit = emit  # takes the seconds that the iteration took, pacing included
        self._fail = fail
        self._changed = threading.Condition()
        self._inbox: list[Callable[[], None]] = []  # guarded by `_changed`
        self._stopping = False  # guarded by `_changed`
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to obey and to iterate."""
        self._thread.start()

    @property
    def progress_age(self) -> float:
        """Seconds since the last iteration while there is work; 0 while there is none."""
        return self.progress.age(self._clock.monotonic()) if self._has_work else 0.0

    @property
    def _has_work(self) -> bool:
        return bool(self._inbox) or self._core.scheduler.has_work

    def send(self, command: Callable[[], None]) -> None:
        """Have the thread obey a command before its next iteration."""
        with self._changed:
            if not self._has_work:
                self.progress.begin(self._clock.monotonic())
            self._inbox.append(command)
            self._changed.notify()

    def stop(self) -> None:
        """End the thread after the iteration under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(STOP_PATIENCE_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._take_in(self._core.scheduler.pause(self._clock.monotonic()))
                if self._core.scheduler.has_work and not self._stopping:
                    self._iterate()
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller must hear of it
            _log.exception("engine failed")
            self._fail(str(error))

    def _take_in(self, patience: float | None) -> None:
        """Wait for commands, at most `patience` seconds, and obey them."""
        with self._changed:
            self._changed.wait_for(lambda: self._inbox or self._stopping, patience)
            commands, self._inbox = self._inbox, []
        for command in commands:
            command()
        if commands:
            self.account = self._core.scheduler.pool.account()

    def _iterate(self) -> None:
        began = self._clock.monotonic()
        iteration = self._core.iterate()
        self.account = self._core.scheduler.pool.account()
        if iteration.plan.chunks:
            self._pace(began)
            self.progress.step(self._clock.monotonic())
            self._emit(iteration, self._clock.monotonic() - began)

    def _pace(self, began: float) -> None:
        """Hold the iteration to its shortest time, still obeying commands."""
        until = began + self._min_iteration
        while not self._stopping and (left := until - self._clock.monotonic()) > 0:
            self._take_in(left)
