"""Label values that somebody else chooses: bounded, whatever is sent."""

OTHER = "other"
_LONGEST = 128  # characters; a name is shorter


class CappedLabels:
    """Keeps the first `most` distinct values by name; all later ones are `other`."""

    def __init__(self, most: int = 100) -> None:
        if most < 0:
            raise ValueError(f"expected a number of values to keep, got {most}")
        self._most = most
        self._kept: set[str] = set()

    def __call__(self, value: str) -> str:
        """Return what a label may say for this value; the same one for as long as this lives."""
        if value in self._kept:
            return value
        if len(self._kept) >= self._most or value == OTHER or not _is_fit(value):
            return OTHER
        self._kept.add(value)
        return value


def _is_fit(value: str) -> bool:
    """Whether a page can show the value: half a surrogate pair would break all of it."""
    if len(value) > _LONGEST:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
