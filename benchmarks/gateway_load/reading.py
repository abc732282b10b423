"""What a simulated replica's tokens tell about the way that they came."""

import re
from dataclasses import dataclass, field

from gateway_load.wire import Answer

_TOKEN = re.compile(rb'"content":"(?:([0-9.]+)/)?([0-9.]+)"')


@dataclass(slots=True)
class Overheads:
    """Seconds beyond what the replica took, one list per kind."""

    first: list[float] = field(default_factory=list)  # there with the request, back with a token
    chunk: list[float] = field(default_factory=list)  # back with one of the later tokens
    whole: list[float] = field(default_factory=list)  # there, and back with the end of the stream
    failed: int = 0
    streams: int = 0  # all of them, those too that were not read

    def fields(self) -> dict[str, list[float] | int]:
        """Return it for a line of JSON."""
        return {
            "first": self.first,
            "chunk": self.chunk,
            "whole": self.whole,
            "failed": self.failed,
            "streams": self.streams,
        }


def read_overheads(answer: Answer, seen: Overheads) -> None:
    """Add what one stream's tokens tell."""
    if not answer.is_ok or answer.ended is None:
        seen.failed += 1
        return
    tokens, there = _tokens(answer), 0.0
    for at, arrived, sent in tokens:
        if arrived is None:
            seen.chunk.append(at - sent)
        else:
            there = arrived - answer.sent
            seen.first.append(there + at - sent)
    if tokens:
        seen.whole.append(there + answer.ended - tokens[-1][2])


def _tokens(answer: Answer) -> list[tuple[float, float | None, float]]:
    """Return when each token came, when its request had arrived if it says so, and was sent.

    A token that came in two pieces is not there before the second.
    """
    found: list[tuple[float, float | None, float]] = []
    rest = b""
    for at, piece in answer.pieces:
        data, last = rest + piece, 0
        for match in _TOKEN.finditer(data):
            arrived = match.group(1)
            found.append((at, float(arrived) if arrived else None, float(match.group(2))))
            last = match.end()
        rest = data[last:]
    return found
