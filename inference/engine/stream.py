"""A request in flight as the event loop sees it: the tokens of all its choices, in one line."""

import asyncio
from collections.abc import Collection, Iterable

from inference.engine.errors import EngineError
from inference.engine.sequence import Sequence, TokenEvent


class Stream:
    """Takes what the engine delivers, and yields it until every choice is over."""

    def __init__(self, sequences: Iterable[Sequence]) -> None:
        self.choices = frozenset(sequences)  # all of them, whatever became of each
        self._computed = {one.choice: one for one in self.choices}
        self._told = set(self._computed)  # choices whose last token is not yet out
        self._events: asyncio.Queue[TokenEvent | EngineError | None] = asyncio.Queue()

    @property
    def sequences(self) -> Collection[Sequence]:
        """The sequences that are not finished."""
        return self._computed.values()

    @property
    def remaining(self) -> int:
        """Tokens to be computed until every choice decodes; what all share counts once."""
        return max(
            (one.remaining for one in self._computed.values() if not one.is_decoding), default=0
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be delivered."""
        return not self._computed

    def put(self, event: TokenEvent) -> None:
        """Deliver a token; those of choices that were dropped are lost."""
        self._events.put_nowait(event)
        if event.finish is not None:
            self._computed.pop(event.choice, None)

    def fail(self, error: EngineError) -> None:
        """Deliver an error in place of all that would have followed."""
        self._computed.clear()
        self._events.put_nowait(error)

    def drop(self, choice: int) -> Sequence | None:
        """Yield no more of a choice; return its sequence if that is not finished."""
        self._told.discard(choice)
        self._events.put_nowait(None)  # who waits for it must wait no longer
        return self._computed.pop(choice, None)

    async def next(self) -> TokenEvent | None:
        """Return the next token; None once every choice has ended or was dropped.

        Raises the error where the request fails.
        """
        while self._told:
            event = await self._events.get()
            if isinstance(event, EngineError):
                raise event
            if event is None or event.choice not in self._told:
                continue
            if event.finish is not None:
                self._told.discard(event.choice)
            return event
        return None
