"""The answers of the OpenAI API as the serving tier gives them."""

from pydantic import BaseModel


class PromptTokens(BaseModel):
    """What is known about a prompt's tokens."""

    cached_tokens: int  # their keys and values were at hand already


class Usage(BaseModel):
    """Tokens of one request, those of all its choices together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens | None = None


class TokenLikelihood(BaseModel):
    """A token and how likely the model held it to be."""

    token: str
    logprob: float
    bytes: list[int]


class DrawnLikelihood(TokenLikelihood):
    """A token of the answer, with its likeliest alternatives."""

    top_logprobs: list[TokenLikelihood]


class ChatLogprobs(BaseModel):
    """The log-probabilities of a chat's tokens."""

    content: list[DrawnLikelihood]
    refusal: None = None


class TextLogprobs(BaseModel):
    """The log-probabilities of a plain completion's tokens, in parallel lists."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(BaseModel):
    """Text of a completion, whole or a piece of it."""

    index: int
    text: str
    logprobs: TextLogprobs | None = None
    finish_reason: str | None = None


class Message(BaseModel):
    """The assistant's turn."""

    role: str = "assistant"
    content: str
    refusal: None = None  # no model here has it, but OpenAI's schema asks for the field


class ChatChoice(BaseModel):
    """The assistant's turn, and why it ended."""

    index: int
    message: Message
    logprobs: ChatLogprobs | None = None
    finish_reason: str | None = None


class DeltaChoice(BaseModel):
    """What one event of a stream adds to the assistant's turn."""

    index: int
    delta: dict[str, str]
    logprobs: ChatLogprobs | None = None
    finish_reason: str | None = None


class Answer(BaseModel):
    """A whole answer or one event of a stream, in either API."""

    id: str
    object: str
    created: int
    model: str
    choices: list[TextChoice] | list[ChatChoice] | list[DeltaChoice]
    usage: Usage | None = None
