"""The intake: from an HTTP request to who asks for what, or to why it cannot be taken."""

import asyncio
import re
import uuid
from collections.abc import Callable

from aiohttp import web

from inference.errors import BROKEN_BODY
from inference.gateway.completion import Completion, Operation, read_completion
from inference.gateway.errors import (
    BadRequestError,
    LargeBodyError,
    SlowBodyError,
    UnknownModelError,
)
from inference.gateway.exchange import Exchange
from inference.gateway.limits import GatewayLimits
from inference.gateway.routing.roster import Roster
from inference.gateway.tenancy.caller import Caller, Scope
from inference.gateway.tenancy.keys import Keyring
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Timeline

PRIORITY_HEADER = "X-Warmfront-Priority"
IDEMPOTENCY_HEADER = "Idempotency-Key"
# What clients and proxies call a conversation.
_SESSION_HEADERS = ("X-Session-ID", "X-Session-Affinity")
_LARGE_BYTES = 2**18  # beyond it, reading takes longer than the event loop may wait
_WORD = re.compile(r"[\w.:\-]{1,128}", re.ASCII)
_MOST_MODELS_NAMED = 10


def random_id() -> str:
    """Return a request id nobody has had."""
    return f"req-{uuid.uuid4().hex}"


class Intake:
    """Takes requests in: who calls, what they ask for, and how urgent it is."""

    def __init__(
        self,
        keys: Keyring,
        roster: Roster,
        *,
        limits: GatewayLimits,
        new_request_id: Callable[[], str] = random_id,
    ) -> None:
        self._keys = keys
        self._roster = roster
        self._limits = limits
        self._new_request_id = new_request_id

    async def take(
        self, http: web.Request, operation: Operation, timeline: Timeline, *, request_id: str
    ) -> Exchange:
        """Return the request for a known model; raise BadRequestError where it is none."""
        caller = self._keys.caller(http.headers)
        self._keys.require(caller, Scope.INFERENCE)
        ask = await self._read(http, operation)
        timeline.choices = ask.choices
        return Exchange(
            ask,
            caller,
            request_id,
            timeline,
            priority=_priority(http, ask, caller),
            session=_session(http, ask, caller),
            is_idempotent=ask.is_deterministic or bool(http.headers.get(IDEMPOTENCY_HEADER)),
        )

    def request_id(self, http: web.Request) -> str:
        """Keep the client's own id where it is a plain word, for it goes into headers and logs."""
        given = http.headers.get("X-Request-ID", "")
        return given if _WORD.fullmatch(given) else self._new_request_id()

    async def _read(self, http: web.Request, operation: Operation) -> Completion:
        body = await self._body(http)
        if len(body) > _LARGE_BYTES:
            ask = await asyncio.to_thread(read_completion, operation, body)
        else:
            ask = read_completion(operation, body)
        if ask.model not in self._roster.models:
            known = ", ".join(sorted(self._roster.models)[:_MOST_MODELS_NAMED]) or "none yet"
            raise UnknownModelError(
                f"Model {ask.model[:100]!r} is not known here; known models: {known}.",
                param="model",
            )
        return ask

    async def _body(self, http: web.Request) -> bytes:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await http.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise LargeBodyError(
                f"The request is larger than {self._limits.max_body_bytes} bytes; send a shorter "
                "prompt, or raise the gateway's max_body_bytes."
            ) from error
        except TimeoutError as error:
            raise SlowBodyError(
                f"The request did not arrive in full within {self._limits.body_seconds:g} s."
            ) from error
        except web.RequestPayloadError as error:
            raise BadRequestError(BROKEN_BODY) from error


def _priority(http: web.Request, ask: Completion, caller: Caller) -> Priority:
    """Return the class that is asked for, as far as the caller's key goes."""
    asked = ask.priority
    if (given := http.headers.get(PRIORITY_HEADER)) is not None:
        try:
            asked = Priority(given.strip().lower())
        except ValueError:
            raise BadRequestError(
                f"{PRIORITY_HEADER} is {given[:40]!r}; expected one of {', '.join(Priority)}."
            ) from None
    return max(asked, caller.highest, key=lambda one: one.rank)


def _session(http: web.Request, ask: Completion, caller: Caller) -> str | None:
    """Return the conversation that the client names, apart from those of other tenants."""
    named = next((http.headers[name] for name in _SESSION_HEADERS if name in http.headers), None)
    session = named or ask.session
    return f"{caller.tenant}/{session[:256]}" if session else None
