"""Why the engine did not answer a request."""


class EngineError(Exception):
    """The engine did not answer; the subclass says whether the request or the engine is at fault.

    EngineError
    ├── PromptTooLongError   the request can never fit
    ├── EngineBusyError      there is no room now, later there may be
    └── EngineStoppedError   the engine takes and finishes nothing more
    """


class PromptTooLongError(EngineError):
    """Prompt and answer together exceed the longest context."""

    def __init__(self, *, prompt: int, answer: int, context: int) -> None:
        super().__init__(
            f"This model's maximum context length is {context} tokens, but the request asks for "
            f"{prompt + answer} ({prompt} in the prompt, {answer} for the answer)."
        )


class EngineBusyError(EngineError):
    """As many requests wait as may wait."""


class EngineStoppedError(EngineError):
    """The engine was stopped or has failed."""
