"""Sizes as people read them."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def bytes_for_people(count: float) -> str:
    """Return a number of bytes with three digits and a decimal unit."""
    for unit in _UNITS[:-1]:
        if count < 999.5:  # noqa: PLR2004 - beyond it three digits round to 1000
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {_UNITS[-1]}"
