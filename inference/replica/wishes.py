"""What a request wishes beside its prompt: how tokens are drawn, and what format they make."""

from collections.abc import Callable

from inference.answer_formats import AnyObject, BySchema, StructuredOutputs
from inference.api import GenerationRequest
from inference.engine.grammar import Grammars
from inference.engine.sampling import Constraint, Sampling
from inference.errors import ApiError
from inference.replica.models import Served

_LONGEST_REASON = 500


def sampling_of(ask: GenerationRequest, served: Served, new_seed: Callable[[], int]) -> Sampling:
    """Return how tokens are to be drawn; the model says what the request leaves open."""
    usual = served.defaults
    return Sampling(
        temperature=usual.temperature if ask.temperature is None else ask.temperature,
        top_k=usual.top_k if ask.top_k is None else max(0, ask.top_k),
        top_p=usual.top_p if ask.top_p is None else ask.top_p,
        min_p=usual.min_p if ask.min_p is None else ask.min_p,
        seed=new_seed() if ask.seed is None else ask.seed,
        repetition_penalty=ask.repetition_penalty or usual.repetition_penalty,
        presence_penalty=ask.presence_penalty or 0.0,
        frequency_penalty=ask.frequency_penalty or 0.0,
        logit_bias=_bias(ask, served.vocabulary),
        logprobs=ask.alternatives,
    )


def constraint_of(ask: GenerationRequest, served: Served) -> Callable[[], Constraint] | None:
    """Return the format that the answer must keep to, compiled; None where any will do.

    Compiling a new format takes from a millisecond to a second.
    """
    param = "response_format" if ask.structured_outputs is None else "structured_outputs"
    try:
        return _format(ask, served.grammars)
    except ValueError as error:  # a GrammarError, or the library's own
        reason = str(error).partition("<backtrace>")[0].strip()[:_LONGEST_REASON].rstrip(".")
        raise ApiError(
            400, f"'{param}': the format cannot be enforced: {reason}.", param=param
        ) from error


def _format(ask: GenerationRequest, grammars: Grammars) -> Callable[[], Constraint] | None:
    match ask.response_format:
        case AnyObject():
            return grammars.json_object()
        case BySchema(json_schema=asked):
            return grammars.json_schema(asked.schema_)
    return _structured(ask.structured_outputs, grammars)


def _structured(
    ask: StructuredOutputs | None, grammars: Grammars
) -> Callable[[], Constraint] | None:
    match ask:
        case StructuredOutputs(json_=dict() as schema):
            return grammars.json_schema(schema)
        case StructuredOutputs(regex=str() as pattern):
            return grammars.regex(pattern)
        case StructuredOutputs(choice=list() as texts):
            return grammars.choice(texts)
        case StructuredOutputs(grammar=str() as grammar):
            return grammars.lark(grammar)
    return None


def _bias(ask: GenerationRequest, vocabulary: int) -> tuple[tuple[int, float], ...]:
    bias = tuple((int(token), value) for token, value in (ask.logit_bias or {}).items())
    beyond = [token for token, _ in bias if token >= vocabulary]
    if beyond:
        raise ApiError(
            400,
            f"'logit_bias': token {beyond[0]} is outside the model's vocabulary of {vocabulary}.",
            param="logit_bias",
        )
    return bias
