"""Dispatch: who of those in line gets the room that came."""

from collections.abc import Callable, Iterator

from inference.gateway.admission.entry import Entry, Lane
from inference.gateway.admission.waiting import Waiting
from inference.gateway.routing.choice import Choice
from inference.gateway.routing.want import Want

_Kind = tuple[str | None, bool, int, frozenset[str]]
_MOST_OVERTAKEN = 16
_NEVER = -(2**31)  # overtaken so rarely that it never holds others up

Offer = Callable[[Want], Choice | None]


def grants(
    waiting: Waiting,
    offer: Offer,
    *,
    lookahead: int,
    is_idle: bool,
    has_room: Callable[[], bool],
    is_gone: Callable[[Entry], bool] = lambda _: False,
) -> Iterator[tuple[Entry, Choice]]:
    """Yield who is served now and where; the caller takes the room before it goes on.

    Who finds no room does not hold up those behind with other needs, of whom `lookahead` are
    looked at. Only one that needs many slots, and was overtaken often, makes its like wait
    until so many are free. `is_idle` says that nothing is in flight; who `is_gone`
    is about to leave the line.
    """
    refused: dict[_Kind, int] = {}  # the fewest tokens for which no replica had room
    large: list[Entry] = []
    gathering: set[Lane] = set()
    looked = 0
    for entry in waiting.in_order():
        if is_gone(entry):
            continue
        choice = None if entry.lane in gathering else _room_for(entry.want, offer, refused)
        if choice is not None:
            is_idle = False
            for one in large:
                one.overtaken += 1
            yield entry, choice
            continue
        looked += 1
        if looked > lookahead or not has_room():
            return
        if is_idle:  # no end of another will make room for it: it must not hold up others
            entry.overtaken = _NEVER
        if entry.want.choices > 1:
            large.append(entry)
            if entry.overtaken >= _MOST_OVERTAKEN:
                gathering.add(entry.lane)


def _room_for(want: Want, offer: Offer, refused: dict[_Kind, int]) -> Choice | None:
    """Ask for room, unless one like it that needed no more has just been refused it."""
    kind = (want.version, want.has_images, want.choices, want.avoid)
    if want.tokens >= refused.get(kind, want.tokens + 1):
        return None
    choice = offer(want)
    if choice is None:
        refused[kind] = want.tokens
    return choice
