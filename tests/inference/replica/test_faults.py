import pytest

from inference.engine import errors
from inference.errors import ApiError
from inference.replica.faults import engine_faults, translated

LONG = errors.PromptTooLongError(prompt=9, answer=9, context=10)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (LONG, 400, "context_length_exceeded"),
        (errors.BadSamplingError("x"), 400, None),
        (errors.EngineBusyError("x"), 429, "queue_full"),
        (errors.DrawError("x"), 500, "generation_failed"),
        (errors.OutOfMemoryError("x"), 500, "out_of_memory"),
        (errors.EngineAsleepError("x"), 503, "replica_not_serving"),
        (errors.EngineStoppedError("x"), 503, "replica_stopped"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_fault_has_its_status(error: errors.EngineError, status: int, code: str | None):
    answer = translated(error)

    assert (answer.status, answer.code) == (status, code)
    assert str(error) in str(answer)


@pytest.mark.parametrize("error", [errors.EngineBusyError("x"), errors.EngineStoppedError("x")])
def test_what_passes_by_itself_says_when_to_retry(error: errors.EngineError):
    assert "Retry-After" in translated(error).response().headers


def test_only_the_engines_faults_are_translated():
    with pytest.raises(ApiError), engine_faults():
        raise LONG
    with pytest.raises(KeyError), engine_faults():
        raise KeyError("x")
