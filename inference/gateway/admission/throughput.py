"""Throughput: how fast a model's replicas work off requests while they are busy."""

_WINDOW_SECONDS = 1.0
_LONGEST_WINDOW = 30.0
_DEPARTURES = 8  # fewer say little
_WINDOWS_WITHOUT = 4  # after so many windows without enough of them, few is what there is
_GAIN = 0.3
_MEAN_GAIN = 0.05


class Throughput:
    """Work per second and slot, measured over windows of busy time; idle time is left out.

    It is kept per slot, so that a fleet that is halved is at once expected to do half.
    """

    def __init__(self) -> None:
        self._per_slot: float | None = None
        self._is_measured = False
        self._is_busy = False
        self._slots = 0
        self._at = 0.0
        self._mean_work: float | None = None
        self._service_seconds = 0.0
        self._open_window()

    @property
    def mean_work(self) -> float | None:
        """Mean work of the requests that ended, where one has."""
        return self._mean_work

    def rate(self, slots: int) -> float | None:
        """Return the work per second of so many busy slots; None while it is unknown."""
        if not self._per_slot or slots < 1:
            return None
        return self._per_slot * slots

    def suppose(self, per_slot: float) -> None:
        """Go by this pace until one has been measured."""
        if not self._is_measured:
            self._per_slot = per_slot

    def rescale(self, factor: float) -> None:
        """Count what was measured in another unit of work."""
        if self._per_slot is not None and self._is_measured:
            self._per_slot *= factor
        if self._mean_work is not None:
            self._mean_work *= factor
        self._work *= factor

    def note(self, now: float, *, is_busy: bool, slots: int) -> None:
        """Take in how things stand from now on."""
        if self._is_busy:
            elapsed = now - self._at
            self._seconds += elapsed
            self._slot_seconds += elapsed * self._slots
            if self._is_window_full():
                self._close_window()
        self._at, self._is_busy, self._slots = now, is_busy, slots

    def departed(self, work: float, seconds: float) -> None:
        """Count a request that ended after `seconds` on a replica; call it before `note`."""
        mean = work if self._mean_work is None else self._mean_work
        self._mean_work = mean + _MEAN_GAIN * (work - mean)
        typical = self._service_seconds or seconds
        self._service_seconds = typical + _MEAN_GAIN * (seconds - typical)
        if self._is_busy:
            self._work += work
            self._departures += 1

    def cut_short(self, work: float, seconds: float) -> None:
        """Count a request of so much expected work for the time that it took."""
        if self._is_busy and self._service_seconds:
            self._work += work * min(1.0, seconds / self._service_seconds)
            self._departures += 1

    def _is_window_full(self) -> bool:
        """Requests that begin together end together: a window is no shorter than they take."""
        window = max(_WINDOW_SECONDS, min(self._service_seconds, _LONGEST_WINDOW))
        if self._departures >= _DEPARTURES:
            return self._seconds >= window
        return self._seconds >= _WINDOWS_WITHOUT * window and self._slot_seconds > 0

    def _close_window(self) -> None:
        if self._is_measured and self._per_slot is not None:
            seen = self._work / self._slot_seconds if self._slot_seconds else self._per_slot
            self._per_slot += _GAIN * (seen - self._per_slot)
        elif self._departures and self._slot_seconds:
            self._per_slot = self._work / self._slot_seconds
            self._is_measured = True
        self._open_window()

    def _open_window(self) -> None:
        self._seconds = 0.0
        self._slot_seconds = 0.0
        self._work = 0.0
        self._departures = 0
