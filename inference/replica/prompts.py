"""From the body of a request to what the engine is asked: tokens, limits and sampling."""

from collections.abc import Callable
from dataclasses import dataclass

from inference.api import ChatRequest, CompletionRequest, GenerationRequest
from inference.engine.engine import Engine
from inference.engine.sampling import Sampling
from inference.engine.sequence import Request
from inference.errors import ApiError
from inference.models.generation import GenerationDefaults
from inference.models.tokenizer import ChatTemplateError, Tokenizer

DEFAULT_COMPLETION_TOKENS = 16  # OpenAI's, for /v1/completions only


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model under the name that clients ask for."""

    name: str
    engine: Engine
    tokenizer: Tokenizer
    vocabulary: int
    stop_tokens: frozenset[int]
    defaults: GenerationDefaults


@dataclass(frozen=True, slots=True)
class Prompts:
    """Reads the requests for one model; ApiError says what is wrong with one."""

    served: Served
    new_id: Callable[[], str]
    new_seed: Callable[[], int]

    def chat(self, ask: ChatRequest) -> Request:
        """Read a conversation; without a limit, the answer may fill the context."""
        self._check_model(ask)
        messages = [{"role": one.role, "content": one.text} for one in ask.messages]
        try:
            prompt = self.served.tokenizer.encode_chat(messages)
        except ChatTemplateError as error:
            raise ApiError(400, f"'messages': {error}.", param="messages") from error
        room = max(1, self.served.engine.context - len(prompt))
        return self._request(ask, prompt, ask.max_completion_tokens or ask.max_tokens or room)

    def text(self, ask: CompletionRequest) -> Request:
        """Read a text, or tokens, to be continued."""
        self._check_model(ask)
        prompt = _only_prompt(ask)
        tokens = self._encode(prompt) if isinstance(prompt, str) else self._checked(prompt)
        return self._request(ask, tokens, ask.max_tokens or DEFAULT_COMPLETION_TOKENS)

    def _check_model(self, ask: GenerationRequest) -> None:
        if ask.model != self.served.name:
            raise ApiError(
                404,
                f"The model {ask.model[:100]!r} does not exist; this replica serves "
                f"{self.served.name!r}.",
                param="model",
                code="model_not_found",
            )

    def _encode(self, prompt: str) -> list[int]:
        return self.served.tokenizer.encode(prompt) if prompt else []

    def _checked(self, tokens: list[int]) -> list[int]:
        if max(tokens, default=0) >= self.served.vocabulary:
            raise ApiError(
                400,
                f"'prompt': token {max(tokens)} is outside the model's vocabulary of "
                f"{self.served.vocabulary}.",
                param="prompt",
            )
        return tokens

    def _request(self, ask: GenerationRequest, prompt: list[int], max_tokens: int) -> Request:
        if not prompt:
            raise ApiError(400, "'prompt': expected at least one token.", param="prompt")
        usual = self.served.defaults
        sampling = Sampling(
            temperature=usual.temperature if ask.temperature is None else ask.temperature,
            top_k=usual.top_k if ask.top_k is None else max(0, ask.top_k),
            top_p=usual.top_p if ask.top_p is None else ask.top_p,
            seed=self.new_seed() if ask.seed is None else ask.seed,
        )
        stops: frozenset[int] = frozenset() if ask.ignore_eos else self.served.stop_tokens
        return Request(self.new_id(), tuple(prompt), max_tokens, sampling, stops)


def _only_prompt(ask: CompletionRequest) -> str | list[int]:
    """Return the one prompt of a body that could carry several."""
    match ask.prompt:
        case str() as text:
            return text
        case [str() | list() as only]:
            return only
        case [str() | list(), *_]:
            raise ApiError(
                400,
                f"'prompt': expected one prompt, got {len(ask.prompt)}; send one request each.",
                param="prompt",
            )
    return [token for token in ask.prompt if isinstance(token, int)]
