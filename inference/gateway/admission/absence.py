"""Absence: the time during which no replica served those who wait."""


class Absence:
    """Seconds without a replica, in all and up to any moment."""

    def __init__(self) -> None:
        self._total = 0.0
        self._since: float | None = None

    @property
    def is_now(self) -> bool:
        """Whether no replica serves, as last noted."""
        return self._since is not None

    def note(self, now: float, *, is_absent: bool) -> None:
        """Take in whether a replica serves from now on."""
        if is_absent and self._since is None:
            self._since = now
        elif not is_absent and self._since is not None:
            self._total += now - self._since
            self._since = None

    def seconds(self, now: float) -> float:
        """Return the seconds of absence up to now."""
        return self._total if self._since is None else self._total + now - self._since
