"""The OpenAI API as the serving tier speaks it: requests and answers."""

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from inference.errors import ApiError

_Stop = Annotated[str, StringConstraints(min_length=1)]
_TokenId = Annotated[int, Field(ge=0)]

# What is not built, with the values that ask for nothing: those are welcome.
_NOTHING_ASKED: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "echo": (None, False),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "suffix": (None, ""),
    "tools": (None, []),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "response_format": (None, {"type": "text"}),
}


class _Schema(BaseModel):
    # Strict: "5" is no number. Extra fields are kept, to tell the harmless from the unsupported.
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class StreamOptions(_Schema):
    """What a stream carries beside its tokens."""

    include_usage: bool = False


class GenerationRequest(_Schema):
    """What requests for chats and for plain completions have in common."""

    model: str
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    top_k: int | None = Field(None, ge=-1)  # not OpenAI's, but common; 0 and -1 are "all"
    seed: int | None = None
    stop: _Stop | list[_Stop] | None = None
    ignore_eos: bool = False  # not OpenAI's, but common: benchmarks want a known length
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def stops(self) -> list[str]:
        """The strings that end the answer."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionRequest(GenerationRequest):
    """The body of /v1/completions."""

    prompt: str | list[str] | list[_TokenId] | list[list[_TokenId]]


class ContentPart(_Schema):
    """One piece of a message; only text is understood."""

    type: Literal["text"]
    text: str


class ChatMessage(_Schema):
    """One turn of a conversation."""

    role: str
    content: str | list[ContentPart] | None = None

    @property
    def text(self) -> str:
        """The text of all parts."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class ChatRequest(GenerationRequest):
    """The body of /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)


class RequestedState(StrEnum):
    """The states that a replica can be told to enter."""

    SERVING = "serving"
    STANDBY = "standby"
    DRAINING = "draining"


class LifecycleRequest(BaseModel):
    """The body of /admin/lifecycle."""

    state: RequestedState


_Body = TypeVar("_Body", bound=BaseModel)


def parse_body(kind: type[_Body], body: bytes) -> _Body:
    """Read a request's JSON; ApiError 400 says which field is wrong or not supported."""
    try:
        parsed = kind.model_validate_json(body)
    except ValidationError as error:
        raise _invalid(error) from error
    for field, nothing in _NOTHING_ASKED.items():
        value = (parsed.model_extra or {}).get(field)
        if value not in nothing:
            raise ApiError(
                400,
                f"'{field}' is not supported; leave it out.",
                param=field,
                code="unsupported_parameter",
            )
    return parsed


def _invalid(error: ValidationError) -> ApiError:
    problems = error.errors(include_url=False, include_context=False)
    if problems[0]["type"] == "json_invalid":
        return ApiError(400, f"The body is not JSON: {problems[0]['msg']}.")
    if not problems[0]["loc"]:
        return ApiError(400, "The body must be a JSON object.")
    param = str(problems[0]["loc"][0])
    reasons = [one["msg"] for one in problems if str(one["loc"][0]) == param]
    return ApiError(400, f"'{param}': {' or: '.join(dict.fromkeys(reasons))}.", param=param)


# --- Answers --------------------------------------------------------------------------------


class Usage(BaseModel):
    """Tokens of one request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TextChoice(BaseModel):
    """Text of a completion, whole or a piece of it."""

    index: int = 0
    text: str
    logprobs: None = None
    finish_reason: str | None = None


class Message(BaseModel):
    """The assistant's turn."""

    role: str = "assistant"
    content: str


class ChatChoice(BaseModel):
    """The assistant's turn, and why it ended."""

    index: int = 0
    message: Message
    logprobs: None = None
    finish_reason: str | None = None


class DeltaChoice(BaseModel):
    """What one event of a stream adds to the assistant's turn."""

    index: int = 0
    delta: dict[str, str]
    logprobs: None = None
    finish_reason: str | None = None


class Answer(BaseModel):
    """A whole answer or one event of a stream, in either API."""

    id: str
    object: str
    created: int
    model: str
    choices: list[TextChoice] | list[ChatChoice] | list[DeltaChoice]
    usage: Usage | None = None
