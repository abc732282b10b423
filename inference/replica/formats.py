"""The two shapes of an answer: a chat's and a plain completion's, whole or streamed."""

from dataclasses import dataclass
from typing import Protocol

from inference.api import Answer, ChatChoice, DeltaChoice, Message, TextChoice, Usage


class Format(Protocol):
    """How one answer is put into JSON."""

    def whole(self, text: str, finish: str, usage: Usage) -> Answer:
        """Return the answer in one piece."""
        ...

    def opening(self) -> Answer | None:
        """Return the first event of a stream, where it is not text."""
        ...

    def piece(self, text: str, finish: str | None) -> Answer:
        """Return one event of a stream."""
        ...

    def usage(self, usage: Usage) -> Answer:
        """Return the event that carries a stream's token counts."""
        ...


@dataclass(frozen=True, slots=True)
class TextFormat:
    """The shape of /v1/completions."""

    id: str
    model: str
    created: int

    def whole(self, text: str, finish: str, usage: Usage) -> Answer:
        """Return the answer in one piece."""
        return self._answer([TextChoice(text=text, finish_reason=finish)], usage)

    def opening(self) -> None:
        """Return nothing: the first event is text."""
        return

    def piece(self, text: str, finish: str | None) -> Answer:
        """Return one event of a stream."""
        return self._answer([TextChoice(text=text, finish_reason=finish)])

    def usage(self, usage: Usage) -> Answer:
        """Return the event that carries a stream's token counts."""
        return self._answer([], usage)

    def _answer(self, choices: list[TextChoice], usage: Usage | None = None) -> Answer:
        return Answer(
            id=f"cmpl-{self.id}",
            object="text_completion",
            created=self.created,
            model=self.model,
            choices=choices,
            usage=usage,
        )


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """The shape of /v1/chat/completions."""

    id: str
    model: str
    created: int

    def whole(self, text: str, finish: str, usage: Usage) -> Answer:
        """Return the answer in one piece."""
        choice = ChatChoice(message=Message(content=text), finish_reason=finish)
        return self._answer("chat.completion", [choice], usage)

    def opening(self) -> Answer:
        """Return the event that says who speaks."""
        return self._chunk([DeltaChoice(delta={"role": "assistant", "content": ""})])

    def piece(self, text: str, finish: str | None) -> Answer:
        """Return one event of a stream."""
        delta = {"content": text} if text else {}
        return self._chunk([DeltaChoice(delta=delta, finish_reason=finish)])

    def usage(self, usage: Usage) -> Answer:
        """Return the event that carries a stream's token counts."""
        return self._chunk([], usage)

    def _chunk(self, choices: list[DeltaChoice], usage: Usage | None = None) -> Answer:
        return self._answer("chat.completion.chunk", choices, usage)

    def _answer(
        self, kind: str, choices: list[ChatChoice] | list[DeltaChoice], usage: Usage | None
    ) -> Answer:
        return Answer(
            id=f"chatcmpl-{self.id}",
            object=kind,
            created=self.created,
            model=self.model,
            choices=choices,
            usage=usage,
        )
