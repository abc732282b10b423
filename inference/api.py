"""The requests of the OpenAI API as the serving tier understands them."""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from inference.answer_formats import AnyObject, AnyText, BySchema, Strict, StructuredOutputs
from inference.errors import ApiError

MAX_BODY_BYTES = 16 * 1024**2  # images come within the body, a third larger than they are
MOST_CHOICES = 128
_MOST_STOPS, _LONGEST_STOP = 64, 1024  # each is looked for after each token
# More than anybody means; a body has room for millions, and reading those takes seconds.
_MOST_LISTS = 2**12
_MOST_MESSAGES = 2**14
_MOST_BIASES = 2**14

_Item = TypeVar("_Item")
# A list that is read up to its first fault.
_List = Annotated[list[_Item], Field(fail_fast=True)]
_TokenId = Annotated[int, Field(ge=0)]
_Prompts = Annotated[_List[_List[_TokenId]], Field(max_length=_MOST_LISTS)]
_Stop = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_STOP)]
_Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
_Alternatives = Annotated[int, Field(ge=0, le=20)]
_Decimal = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]

# What is not built, with the values that ask for nothing: those are welcome.
_NOTHING_ASKED: dict[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "echo": (None, False),
    "suffix": (None, ""),
    "tools": (None, []),
    "functions": (None, []),
    "guided_json": (None,),
    "guided_regex": (None,),
    "guided_choice": (None,),
    "guided_grammar": (None,),
}


def _few(biases: object) -> object:
    if isinstance(biases, dict) and len(biases) > _MOST_BIASES:
        raise ValueError(f"expected at most {_MOST_BIASES} tokens, got {len(biases)}")
    return biases


class StreamOptions(Strict):
    """What a stream carries beside its tokens."""

    include_usage: bool = False


class GenerationRequest(Strict, ABC):
    """What requests for chats and for plain completions have in common."""

    model: str
    max_tokens: int | None = Field(None, ge=1)
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: _Share | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    logit_bias: Annotated[dict[_Decimal, _Bias] | None, BeforeValidator(_few)] = None
    seed: int | None = None
    stop: _Stop | Annotated[_List[_Stop], Field(max_length=_MOST_STOPS)] | None = None
    response_format: AnyText | AnyObject | BySchema | None = Field(None, discriminator="type")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # What follows is not OpenAI's, but common.
    top_k: int | None = Field(None, ge=-1)  # 0 and -1 are "all"
    min_p: _Share | None = None
    repetition_penalty: float | None = Field(None, ge=0.01, le=10, allow_inf_nan=False)
    ignore_eos: bool = False  # benchmarks want a known length
    structured_outputs: StructuredOutputs | None = None
    priority: int = Field(0, gt=-(2**31), lt=2**31)  # lower is served earlier

    @field_validator("structured_outputs")
    @classmethod
    def _one_format(
        cls, value: StructuredOutputs | None, others: ValidationInfo
    ) -> StructuredOutputs | None:
        if value is None:
            return None
        formats = (value.json_, value.regex, value.choice, value.grammar)
        if sum(one is not None for one in formats) != 1:
            raise ValueError("expected exactly one of 'json', 'regex', 'choice' and 'grammar'")
        other = others.data.get("response_format")
        if other is not None and other.type != "text":
            raise ValueError("'response_format' asks for a format already")
        return value

    @property
    def choices(self) -> int:
        """How many answers are wanted."""
        return self.n or 1

    @property
    def stops(self) -> list[str]:
        """The strings that end the answer."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    @abstractmethod
    def alternatives(self) -> int | None:
        """How many alternatives are wanted with the log-probabilities; None wants none of it."""


class CompletionRequest(GenerationRequest):
    """The body of /v1/completions."""

    prompt: (
        str
        | _List[str]
        | _List[_TokenId]
        | Annotated[_List[_List[_TokenId]], Field(max_length=_MOST_LISTS)]
    )
    logprobs: _Alternatives | Literal[False] | None = None

    @property
    def alternatives(self) -> int | None:
        """How many alternatives are wanted with the log-probabilities; None wants none of it."""
        return None if self.logprobs is False else self.logprobs

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts, each a text or tokens."""
        match self.prompt:
            case str() as text:
                return [text]
            case [int(), *_]:
                return [[token for token in self.prompt if isinstance(token, int)]]
        return self.prompt  # type: ignore[return-value] # a list of texts or of tokens


class TextPart(Strict):
    """Text within a message."""

    type: Literal["text"]
    text: str


class ImageUrl(Strict):
    """Where an image is: in the URL itself, for the server fetches nothing."""

    url: str

    @field_validator("url")
    @classmethod
    def _holds_the_image(cls, url: str) -> str:
        if not url[:5].lower() == "data:":
            raise ValueError(
                "images are not fetched from the network; send the image itself as a data URL, "
                "data:image/png;base64,..."
            )
        return url


class ImagePart(Strict):
    """An image within a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


ContentPart = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class ChatMessage(Strict):
    """One turn of a conversation."""

    role: str
    content: str | Annotated[_List[ContentPart], Field(max_length=_MOST_LISTS)] | None = None

    @property
    def images(self) -> list[str]:
        """The data URLs of the images, in order."""
        parts = self.content if isinstance(self.content, list) else []
        return [part.image_url.url for part in parts if isinstance(part, ImagePart)]

    @property
    def text(self) -> str:
        """The text of all parts."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content or ""


class ChatRequest(GenerationRequest):
    """The body of /v1/chat/completions."""

    messages: _List[ChatMessage] = Field(min_length=1, max_length=_MOST_MESSAGES)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: _Alternatives | None = None

    @field_validator("top_logprobs")
    @classmethod
    def _needs_logprobs(cls, value: int | None, others: ValidationInfo) -> int | None:
        if value and not others.data.get("logprobs"):
            raise ValueError("is only possible together with 'logprobs': true")
        return value

    @property
    def alternatives(self) -> int | None:
        """How many alternatives are wanted with the log-probabilities; None wants none of it."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def images(self) -> list[str]:
        """The data URLs of all images, in order."""
        return [url for message in self.messages for url in message.images]


class RequestedState(StrEnum):
    """The states that a replica can be told to enter."""

    SERVING = "serving"
    STANDBY = "standby"
    ASLEEP = "asleep"
    DRAINING = "draining"


class LifecycleRequest(BaseModel):
    """The body of /admin/lifecycle."""

    state: RequestedState
    level: Literal[1, 2] = 1  # of sleep: 1 keeps the weights in host memory, 2 drops them


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
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        return ApiError(400, f"The body is not JSON: {problems[0]['msg']}.")
    if not problems[0]["loc"]:
        return ApiError(400, "The body must be a JSON object.")
    param = str(problems[0]["loc"][0])
    reasons = [
        one["msg"].removeprefix("Value error, ") for one in problems if str(one["loc"][0]) == param
    ]
    return ApiError(400, f"'{param}': {' or: '.join(dict.fromkeys(reasons))}.", param=param)
