"""The two shapes of an answer: a chat's and a plain completion's, whole or streamed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from inference.answers import (
    Answer,
    ChatChoice,
    ChatLogprobs,
    DeltaChoice,
    DrawnLikelihood,
    Message,
    TextChoice,
    TextLogprobs,
    TokenLikelihood,
    Usage,
)
from inference.replica.answer import Likely, Piece

Spelling = Callable[[int], bytes]  # the bytes that a token stands for


@dataclass(frozen=True, slots=True)
class Head:
    """What every part of an answer repeats."""

    id: str
    model: str
    created: int  # Unix seconds


class Format(Protocol):
    """How one answer is put into JSON."""

    def whole(self, choices: Sequence[Sequence[Piece]], usage: Usage) -> Answer:
        """Return the answer at once, from the pieces of each choice."""
        ...

    def opening(self, choice: int) -> Answer | None:
        """Return the first event of a choice, where it is not text."""
        ...

    def piece(self, piece: Piece) -> Answer:
        """Return one event of a stream."""
        ...

    def usage(self, usage: Usage) -> Answer:
        """Return the event that carries a stream's token counts."""
        ...


@dataclass(slots=True)
class TextFormat:
    """The shape of /v1/completions; it remembers how far each text has come."""

    head: Head
    spell: Spelling | None  # None leaves log-probabilities out
    _lengths: dict[int, int] = field(default_factory=dict)

    def whole(self, choices: Sequence[Sequence[Piece]], usage: Usage) -> Answer:
        """Return the answer at once, from the pieces of each choice."""
        return self._answer([self._choice(_joined(pieces)) for pieces in choices], usage)

    def opening(self, choice: int) -> None:  # noqa: ARG002 - the protocol's
        """Return nothing: the first event is text."""
        return

    def piece(self, piece: Piece) -> Answer:
        """Return one event of a stream."""
        return self._answer([self._choice(piece)])

    def usage(self, usage: Usage) -> Answer:
        """Return the event that carries a stream's token counts."""
        return self._answer([], usage)

    def _choice(self, piece: Piece) -> TextChoice:
        logprobs = self._logprobs(piece, self.spell) if self.spell else None
        return TextChoice(
            index=piece.choice, text=piece.text, logprobs=logprobs, finish_reason=piece.finish
        )

    def _logprobs(self, piece: Piece, spell: Spelling) -> TextLogprobs:
        tokens = [_text(spell(one.token)) for one in piece.likely]
        offsets, at = [], self._lengths.get(piece.choice, 0)
        for token in tokens:
            offsets.append(at)
            at += len(token)
        self._lengths[piece.choice] = at
        tops = [{_text(spell(token)): value for token, value in one.top} for one in piece.likely]
        return TextLogprobs(
            tokens=tokens,
            token_logprobs=[one.logprob for one in piece.likely],
            top_logprobs=tops,
            text_offset=offsets,
        )

    def _answer(self, choices: list[TextChoice], usage: Usage | None = None) -> Answer:
        return Answer(
            id=f"cmpl-{self.head.id}",
            object="text_completion",
            created=self.head.created,
            model=self.head.model,
            choices=choices,
            usage=usage,
        )


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """The shape of /v1/chat/completions."""

    head: Head
    spell: Spelling | None  # None leaves log-probabilities out

    def whole(self, choices: Sequence[Sequence[Piece]], usage: Usage) -> Answer:
        """Return the answer at once, from the pieces of each choice."""
        said = [self._choice(_joined(pieces)) for pieces in choices]
        return self._answer("chat.completion", said, usage)

    def opening(self, choice: int) -> Answer:
        """Return the event that says who speaks."""
        delta = {"role": "assistant", "content": ""}
        return self._chunk([DeltaChoice(index=choice, delta=delta)])

    def piece(self, piece: Piece) -> Answer:
        """Return one event of a stream."""
        choice = DeltaChoice(
            index=piece.choice,
            delta={"content": piece.text} if piece.text else {},
            logprobs=self._logprobs(piece),
            finish_reason=piece.finish,
        )
        return self._chunk([choice])

    def usage(self, usage: Usage) -> Answer:
        """Return the event that carries a stream's token counts."""
        return self._chunk([], usage)

    def _choice(self, piece: Piece) -> ChatChoice:
        return ChatChoice(
            index=piece.choice,
            message=Message(content=piece.text),
            logprobs=self._logprobs(piece),
            finish_reason=piece.finish,
        )

    def _logprobs(self, piece: Piece) -> ChatLogprobs | None:
        if self.spell is None:
            return None
        return ChatLogprobs(content=[_drawn(one, self.spell) for one in piece.likely])

    def _chunk(self, choices: list[DeltaChoice], usage: Usage | None = None) -> Answer:
        return self._answer("chat.completion.chunk", choices, usage)

    def _answer(
        self, kind: str, choices: list[ChatChoice] | list[DeltaChoice], usage: Usage | None
    ) -> Answer:
        return Answer(
            id=f"chatcmpl-{self.head.id}",
            object=kind,
            created=self.head.created,
            model=self.head.model,
            choices=choices,
            usage=usage,
        )


def _joined(pieces: Sequence[Piece]) -> Piece:
    """Return all of a choice as one piece."""
    return replace(
        pieces[-1],
        text="".join(piece.text for piece in pieces),
        likely=tuple(one for piece in pieces for one in piece.likely),
    )


def _drawn(one: Likely, spell: Spelling) -> DrawnLikelihood:
    tops = [_likelihood(spell(token), value) for token, value in one.top]
    own = _likelihood(spell(one.token), one.logprob)
    return DrawnLikelihood(
        token=own.token, logprob=own.logprob, bytes=own.bytes, top_logprobs=tops
    )


def _likelihood(spelling: bytes, logprob: float) -> TokenLikelihood:
    return TokenLikelihood(token=_text(spelling), logprob=logprob, bytes=list(spelling))


def _text(spelling: bytes) -> str:
    """Return the text of a token; half a character is written as OpenAI writes it."""
    try:
        return spelling.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelling)
