"""When the tokens of a request come, as its metrics tell it."""

from inference.replica.answer import Piece
from inference.replica.metrics import ModelMetrics


class TokenTimes:
    """What the tokens of one request tell the metrics, as they are delivered."""

    def __init__(self, metrics: ModelMetrics) -> None:
        self._metrics = metrics
        self._last: dict[int, float] = {}  # of each choice, since its first token

    def observe(self, piece: Piece) -> None:
        """Note the next token of a choice, and the choice's end."""
        at, last = piece.timings.decode, self._last.get(piece.choice)
        if last is not None:
            self._metrics.gap(at - last)
        elif not self._last:
            self._metrics.first_token(piece.timings.in_engine)
        self._last[piece.choice] = at
        if piece.finish is not None:
            self._metrics.ended(piece.finish)
