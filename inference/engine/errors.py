"""Why the engine did not answer a request."""


class EngineError(Exception):
    """The engine did not answer; the subclass says whether the request or the engine is at fault.

    EngineError
    ├── PromptTooLongError   the request can never fit
    ├── BadSamplingError     the request's settings or constraint cannot be honoured
    ├── DrawError            no token can follow in this answer; others go on
    │   └── FormatError      because of the format that the request asks for
    ├── OutOfMemoryError     the device cannot compute this request even alone; others go on
    ├── EngineBusyError      there is no room now, later there may be
    ├── EngineAsleepError    the engine must be woken first
    └── EngineStoppedError   the engine takes and finishes nothing more
    """


class PromptTooLongError(EngineError):
    """Prompt and answer together exceed the longest context."""

    def __init__(self, *, prompt: int, answer: int, context: int) -> None:
        super().__init__(
            f"This model's maximum context length is {context} tokens, but the request asks for "
            f"{prompt + answer} ({prompt} in the prompt, {answer} for the answer)."
        )


class BadSamplingError(EngineError):
    """A setting or constraint of the request does not fit the model."""


class DrawError(EngineError):
    """No token can be drawn: the logits are not finite, or the constraint is stuck."""


class FormatError(DrawError):
    """The format that the request asks for leads into a place where nothing can follow."""


class OutOfMemoryError(EngineError):
    """The device lacks memory for one step of this request, with nothing beside it."""


class EngineBusyError(EngineError):
    """As many requests wait as may wait, or some are in flight where none may be."""


class EngineAsleepError(EngineError):
    """The engine has given up its memory and takes requests once it is woken."""


class EngineStoppedError(EngineError):
    """The engine was stopped or has failed."""
