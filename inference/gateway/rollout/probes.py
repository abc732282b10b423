"""Quality probes: both versions are asked the same, past routing and past the books."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import structlog

from inference.gateway.rollout.evidence import ProbeRound
from inference.gateway.rollout.plan import Probe, RolloutPlan
from telemetry.process_table import ReplicaRecord

_log = structlog.get_logger(__name__)
_CONNECT_SECONDS = 5.0

Ask = Callable[[ReplicaRecord, Mapping[str, Any]], Awaitable[str]]


class AskFailedError(Exception):
    """A replica gave no answer to a probe: that says nothing of its quality."""


class HttpAsk:
    """Asks over HTTP, each time with a deadline; open while entered."""

    def __init__(self, *, deadline_seconds: float) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=deadline_seconds, sock_connect=_CONNECT_SECONDS
        )
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), timeout=self._timeout
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def __call__(self, record: ReplicaRecord, body: Mapping[str, Any]) -> str:
        """Return the text that one replica answers."""
        if self._session is None:
            raise RuntimeError("HttpAsk is used before it was entered")
        path = "/v1/chat/completions" if "messages" in body else "/v1/completions"
        try:
            async with self._session.post(record.url + path, json=body) as answer:
                if not answer.ok:
                    raise AskFailedError(f"status {answer.status}")
                return _text(await answer.json())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise AskFailedError(f"{type(error).__name__} {error}".strip()) from error


async def ask_round(
    plan: RolloutPlan, stable: ReplicaRecord | None, canary: ReplicaRecord | None, ask: Ask
) -> ProbeRound:
    """Ask one replica of each version every probe, one after the other."""
    old, new = await asyncio.gather(_answers(plan, stable, ask), _answers(plan, canary, ask))
    return ProbeRound(old, new)


async def _answers(
    plan: RolloutPlan, record: ReplicaRecord | None, ask: Ask
) -> tuple[bool | None, ...]:
    if record is None:
        return (None,) * len(plan.probes)
    return tuple([await _passes(one, plan.model, record, ask) for one in plan.probes])


async def _passes(probe: Probe, model: str, record: ReplicaRecord, ask: Ask) -> bool | None:
    try:
        return probe.passes(await ask(record, probe.body(model)))
    except AskFailedError as error:
        _log.warning("probe not answered", replica=record.id, model=model, why=str(error))
        return None


def _text(answer: Any) -> str:
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
    except (LookupError, TypeError) as error:
        raise AskFailedError("the answer is no completion") from error
    if not isinstance(text, str):
        raise AskFailedError("the answer has no text")
    return text
