"""From the body of a request to what the engine is asked: tokens, images, limits and sampling."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from inference.api import ChatMessage, ChatRequest, CompletionRequest, GenerationRequest
from inference.engine.sequence import PromptImage, Request
from inference.errors import ApiError
from inference.models.tokenizer import ChatTemplateError
from inference.replica.models import Served, ServedModels
from inference.replica.wishes import constraint_of, sampling_of
from telemetry.clock import Clock

if TYPE_CHECKING:
    from inference.replica.images import EmbeddedImage

DEFAULT_COMPLETION_TOKENS = 16  # OpenAI's, for /v1/completions only
MOST_PROMPTS = 128
_LARGE_CHARACTERS = 2**16  # fewer are soon counted in tokens, whatever the context


@dataclass(frozen=True, slots=True)
class Asked:
    """A body as it was read: the model, and a request for each prompt."""

    served: Served
    requests: tuple[Request, ...]
    encode_seconds: float = 0.0  # until the images were embeddings, waiting included

    @property
    def id(self) -> str:
        """The id of the whole answer."""
        return self.requests[0].id

    @property
    def choices(self) -> int:
        """How many answers there will be."""
        return sum(request.choices for request in self.requests)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts together."""
        return sum(len(request.prompt) for request in self.requests)


@dataclass(frozen=True, slots=True)
class Prompts:
    """Reads requests for any of the served models; ApiError says what is wrong with one."""

    models: ServedModels
    new_id: Callable[[], str]
    new_seed: Callable[[], int]
    clock: Clock

    async def chat(self, ask: ChatRequest) -> Asked:
        """Read a conversation; without a limit, the answer may fill the context."""
        served = self.models.find(ask.model)
        began = self.clock.monotonic()
        images = await _embedded(served, ask.images)
        seconds = self.clock.monotonic() - began if images else 0.0
        asked = await asyncio.to_thread(self._read_chat, served, ask, images)
        return replace(asked, encode_seconds=seconds)

    async def text(self, ask: CompletionRequest) -> Asked:
        """Read texts, or tokens, to be continued."""
        served = self.models.find(ask.model)
        return await asyncio.to_thread(self._read_text, served, ask)

    def _read_chat(
        self, served: Served, ask: ChatRequest, images: Sequence["EmbeddedImage"]
    ) -> Asked:
        messages = [{"role": one.role, "content": _content(one)} for one in ask.messages]
        _check_length(served, sum(len(one.text) for one in ask.messages), "messages")
        try:
            tokens = served.tokenizer.encode_chat(messages)
        except ChatTemplateError as error:
            raise ApiError(400, f"'messages': {error}.", param="messages") from error
        prompt, placed = _with_images(tokens, served.image_token, images)
        room = max(1, served.engine.context - len(prompt))
        limit = ask.max_completion_tokens or ask.max_tokens or room
        return Asked(served, (self._request(served, ask, prompt, limit, placed),))

    def _read_text(self, served: Served, ask: CompletionRequest) -> Asked:
        limit = ask.max_tokens or DEFAULT_COMPLETION_TOKENS
        if not 0 < len(ask.prompts) <= MOST_PROMPTS:
            raise _bad_prompt(f"expected 1 to {MOST_PROMPTS} prompts, got {len(ask.prompts)}")
        prompts = [
            _encoded(served, prompt) if isinstance(prompt, str) else _checked(served, prompt)
            for prompt in ask.prompts
        ]
        return Asked(
            served, tuple(self._request(served, ask, prompt, limit) for prompt in prompts)
        )

    def _request(
        self,
        served: Served,
        ask: GenerationRequest,
        prompt: Sequence[int],
        limit: int,
        images: tuple[PromptImage, ...] = (),
    ) -> Request:
        if not prompt:
            raise _bad_prompt("expected at least one token")
        constraint = constraint_of(ask, served)
        if ask.alternatives is not None:
            served.grammars.prepare()
        # A format says itself where an answer ends, and the end must be able to say so.
        may_end = constraint is not None or not ask.ignore_eos
        return Request(
            id=self.new_id(),
            prompt=tuple(prompt),
            max_tokens=limit,
            sampling=sampling_of(ask, served, self.new_seed),
            stop_tokens=served.stop_tokens if may_end else frozenset(),
            choices=ask.choices,
            priority=ask.priority,
            images=images,
            constraint=constraint,
        )


async def _embedded(served: Served, urls: Sequence[str]) -> Sequence["EmbeddedImage"]:
    if not urls:
        return ()
    if served.images is None or served.image_token is None:
        raise ApiError(
            400, f"'messages': the model {served.name!r} takes no images.", param="messages"
        )
    return await served.images.embed(urls)


def _content(message: ChatMessage) -> str | list[dict[str, Any]]:
    """Return what a chat template is given: a text or, where there are images, parts."""
    if isinstance(message.content, str) or not message.images:
        return message.text
    return [
        {"type": "text", "text": part.text} if part.type == "text" else {"type": "image"}
        for part in message.content or ()
    ]


def _with_images(
    tokens: Sequence[int], image_token: int | None, images: Sequence["EmbeddedImage"]
) -> tuple[list[int], tuple[PromptImage, ...]]:
    """Widen each image's token in a prompt to as many as the image has embeddings.

    The tokens must be as many as the images: one that a user has typed makes no image.
    """
    if tokens.count(image_token) != len(images):
        raise ApiError(
            400,
            f"'messages': the prompt has {tokens.count(image_token)} places for images, but the "
            f"request has {len(images)}; leave the image mark out of texts, and send images where "
            "the model's chat template takes them.",
            param="messages",
        )
    prompt: list[int] = []
    placed, left = [], iter(images)
    for token in tokens:
        if token != image_token:
            prompt.append(token)
            continue
        image = next(left)
        placed.append(PromptImage(len(prompt), image.digest, image.embeddings))
        prompt += [token] * len(image.embeddings)
    return prompt, tuple(placed)


def _encoded(served: Served, text: str) -> list[int]:
    _check_length(served, len(text), "prompt")
    return _without_images(served, served.tokenizer.encode(text) if text else [])


def _check_length(served: Served, characters: int, param: str) -> None:
    """Refuse a text that cannot fit: to find its tokens first would take seconds and gigabytes."""
    if characters <= _LARGE_CHARACTERS:
        return
    tokenizer, context = served.tokenizer, served.engine.context
    longest = max(len(tokenizer.text_of(token) or "") for token in range(tokenizer.size))
    if characters > longest * context:
        raise ApiError(
            400,
            f"This model's maximum context length is {context} tokens of at most {longest} "
            f"characters, but the request has {characters} characters.",
            param=param,
            code="context_length_exceeded",
        )


def _checked(served: Served, tokens: list[int]) -> list[int]:
    if max(tokens, default=0) >= served.vocabulary:
        raise _bad_prompt(
            f"token {max(tokens)} is outside the model's vocabulary of {served.vocabulary}"
        )
    return _without_images(served, tokens)


def _without_images(served: Served, tokens: list[int]) -> list[int]:
    if served.image_token in tokens:
        raise _bad_prompt("the model's image mark is no text; send images to /v1/chat/completions")
    return tokens


def _bad_prompt(reason: str) -> ApiError:
    return ApiError(400, f"'prompt': {reason}.", param="prompt")
