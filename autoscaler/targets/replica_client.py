"""Asking replicas: their health and their lifecycle, over HTTP, with a deadline on each call."""

from dataclasses import dataclass
from typing import Any

import aiohttp

from telemetry.lifecycle import ReplicaState


class ReplicaClientError(Exception):
    """A replica did not do what it was asked."""


class ReplicaUnreachableError(ReplicaClientError):
    """A replica could not be asked, or did not answer in time."""


class ReplicaRefusedError(ReplicaClientError):
    """A replica answered, and the answer was no."""


@dataclass(frozen=True, slots=True)
class Health:
    """What a replica says about itself."""

    id: str
    state: ReplicaState
    since: float
    running: int
    waiting: int


def parse_health(body: Any) -> Health:
    """Read the answer of /health; raise ReplicaRefusedError where it is none."""
    try:
        return Health(
            id=str(body["id"]),
            state=ReplicaState(body["state"]),
            since=float(body["since"]),
            running=int(body["running"]),
            waiting=int(body["waiting"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ReplicaRefusedError(f"expected a replica's health, got {body!r}") from error


class ReplicaClient:
    """One HTTP session for all replicas of this machine; close it when done."""

    def __init__(self, admin_key: str, *, timeout_seconds: float = 2.0) -> None:
        self._authorization = {"Authorization": f"Bearer {admin_key}"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def health(self, url: str) -> Health:
        """Return what the replica at `url` says about itself."""
        return parse_health(await self._json("GET", f"{url}/health"))

    async def move(self, url: str, state: ReplicaState) -> None:
        """Bring the replica at `url` into `state`, or raise ReplicaClientError."""
        await self._json(
            "POST",
            f"{url}/admin/lifecycle",
            json={"state": state.value},
            headers=self._authorization,
        )

    async def close(self) -> None:
        """Close the session; closing twice is fine."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _json(self, method: str, url: str, **arguments: Any) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.request(method, url, **arguments) as response:
                if not response.ok:
                    text = (await response.text())[:200]
                    raise ReplicaRefusedError(f"{method} {url}: {response.status} {text}")
                return await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ReplicaUnreachableError(f"{method} {url}: {error!r}") from error
