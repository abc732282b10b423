"""What the engine refuses or fails at, in the words of HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager

from inference.engine.errors import (
    BadSamplingError,
    DrawError,
    EngineAsleepError,
    EngineBusyError,
    EngineError,
    FormatError,
    OutOfMemoryError,
    PromptTooLongError,
)
from inference.errors import ApiError

_RETRY_SECONDS = 1


@contextmanager
def engine_faults() -> Iterator[None]:
    """Translate what the engine raises, and only that."""
    try:
        yield
    except EngineError as error:
        raise translated(error) from error


def translated(error: EngineError) -> ApiError:
    """Return the answer to a request that the engine did not answer."""
    match error:
        case PromptTooLongError():
            return ApiError(400, str(error), code="context_length_exceeded")
        case BadSamplingError() | FormatError():
            return ApiError(400, f"The request cannot be honoured: {error}.")
        case EngineBusyError():
            return ApiError(
                429,
                f"The replica is full: {error}; retry in a moment.",
                kind="rate_limit_error",
                code="queue_full",
                retry_after=_RETRY_SECONDS,
            )
        case DrawError() | OutOfMemoryError():
            return _failed(error)
    return _unavailable(error)


def _failed(error: EngineError) -> ApiError:
    """Return the answer to a request that would fail elsewhere too: no reason to retry."""
    code = "out_of_memory" if isinstance(error, OutOfMemoryError) else "generation_failed"
    return ApiError(500, _message(error), kind="server_error", code=code)


def _unavailable(error: EngineError) -> ApiError:
    is_asleep = isinstance(error, EngineAsleepError)
    code = "replica_not_serving" if is_asleep else "replica_stopped"
    return ApiError(
        503, _message(error), kind="server_error", code=code, retry_after=_RETRY_SECONDS
    )


def _message(error: EngineError) -> str:
    return f"The replica cannot finish the answer: {error}."
