"""Which steps ahead a table shows: a few that people ask for, out of many."""

_LADDER = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480, 720, 1440)
_ALL = 12  # steps that are shown without choosing


def shown_steps(steps: int) -> list[int]:
    """Return the steps to show, counted from 1, always with the last."""
    if steps <= _ALL:
        return list(range(1, steps + 1))
    chosen = [step for step in _LADDER if step < steps]
    return [*chosen[: _ALL - 1], steps] if len(chosen) < _ALL else [*_thinned(chosen), steps]


def _thinned(steps: list[int]) -> list[int]:
    """Keep the first and the last of more steps than there is room for, and some between."""
    room = _ALL - 1
    return [steps[round(place * (len(steps) - 1) / (room - 1))] for place in range(room)]
