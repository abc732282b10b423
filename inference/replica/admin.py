"""The admin's orders over HTTP: states, sleep, and the repository after Triton's pattern."""

import hmac
import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from functools import wraps
from typing import Any

from aiohttp import web

from inference.api import LifecycleRequest, parse_body
from inference.errors import ApiError
from inference.models.repository import NoSuchModelError
from inference.replica.background import Tasks
from inference.replica.host import Host, HostBusyError, LoadFailedError
from inference.replica.lifecycle import IllegalMoveError, Lifecycle
from inference.replica.transitions import TransitionFailedError, Transitions
from inference.runtimes.runtime import SleepLevel
from telemetry.lifecycle import ReplicaState

_Handler = Callable[["AdminApi", web.Request], Awaitable[web.Response]]


def _ordered(handler: _Handler) -> _Handler:
    """Ask for the admin key; say what came of an order that could not be followed."""

    @wraps(handler)
    async def answer(api: "AdminApi", http: web.Request) -> web.Response:
        api.authorise(http)
        try:
            return await handler(api, http)
        except IllegalMoveError as error:
            raise ApiError(409, str(error), param="state", code="illegal_move") from error
        except HostBusyError as error:
            raise ApiError(409, f"Not now: {error}.", code="busy", retry_after=1) from error
        except NoSuchModelError as error:
            raise ApiError(404, f"{error}.", param="name", code="model_not_found") from error
        except LoadFailedError as error:
            raise ApiError(400, f"Not loaded: {error}.", code="load_failed") from error
        except TransitionFailedError as error:
            raise ApiError(500, str(error), kind="server_error", code="replica_failed") from error

    return answer


class AdminApi:
    """The handlers; an order goes on to its end even where the one who gave it leaves."""

    def __init__(
        self, lifecycle: Lifecycle, transitions: Transitions, host: Host, *, key: str
    ) -> None:
        self._lifecycle = lifecycle
        self._transitions = transitions
        self._host = host
        self._key = b"Bearer " + key.encode()
        self._tasks = Tasks()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, to be added to an application."""
        return [
            web.post("/admin/lifecycle", self.lifecycle),
            # vLLM's names for the same.
            web.post("/sleep", self.sleep),
            web.post("/wake_up", self.wake_up),
            web.get("/is_sleeping", self.is_sleeping),
            # Triton's.
            web.post("/v2/repository/index", self.index),
            web.post("/v2/repository/models/{name}/load", self.load),
            web.post("/v2/repository/models/{name}/unload", self.unload),
        ]

    def authorise(self, http: web.Request) -> None:
        """Refuse whoever has not the admin key."""
        sent = http.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(sent, self._key):
            raise ApiError(401, "The admin key is missing or wrong.", code="invalid_api_key")

    @_ordered
    async def lifecycle(self, http: web.Request) -> web.Response:
        """Enter a state."""
        order = parse_body(LifecycleRequest, await http.read())
        return await self._enter(ReplicaState(order.state), SleepLevel(order.level))

    @_ordered
    async def sleep(self, http: web.Request) -> web.Response:
        """Fall asleep, at the level of the query."""
        text = http.query.get("level", "1")
        if text not in {"1", "2"}:
            raise ApiError(400, f"'level': expected 1 or 2, got {text[:20]!r}.", param="level")
        return await self._enter(ReplicaState.ASLEEP, SleepLevel(int(text)))

    @_ordered
    async def wake_up(self, _http: web.Request) -> web.Response:
        """Serve again; a replica that is awake stays as it is."""
        if not self._transitions.is_asleep:
            return self._state()
        return await self._enter(ReplicaState.SERVING, SleepLevel.HOST_WEIGHTS)

    @_ordered
    async def is_sleeping(self, _http: web.Request) -> web.Response:
        """Tell whether the replica is asleep."""
        return web.json_response({"is_sleeping": self._transitions.is_asleep})

    @_ordered
    async def index(self, http: web.Request) -> web.Response:
        """List the models of the repository; with `ready`, those that can be asked."""
        wants_ready = (await _parameters(http, {"ready"})).get("ready", False)
        if not isinstance(wants_ready, bool):
            raise ApiError(400, "'ready': expected true or false.", param="ready")
        statuses = [asdict(one) for one in await self._host.index()]
        kept = [one for one in statuses if not wants_ready or one["state"] == "READY"]
        return web.json_response(kept)

    @_ordered
    async def load(self, http: web.Request) -> web.Response:
        """Load a model, or load it anew."""
        await _parameters(http, {"parameters"})
        await self._change(self._host.load(http.match_info["name"]))
        return web.json_response({})

    @_ordered
    async def unload(self, http: web.Request) -> web.Response:
        """Drop a model once its requests are answered."""
        await _parameters(http, {"parameters"})
        await self._change(self._host.unload(http.match_info["name"]))
        return web.json_response({})

    async def _change(self, work: Coroutine[Any, Any, None]) -> None:
        if not self._lifecycle.state.is_ready:
            work.close()
            raise HostBusyError(f"the replica is {self._lifecycle.state}")
        await self._tasks.finish(work)
        self._lifecycle.resize(self._host.slots)

    async def _enter(self, state: ReplicaState, level: SleepLevel) -> web.Response:
        await self._tasks.finish(self._transitions.enter(state, level=level))
        return self._state()

    def _state(self) -> web.Response:
        return web.json_response({"state": self._lifecycle.state.value})


async def _parameters(http: web.Request, known: set[str]) -> dict[str, object]:
    """Read an optional JSON object; what is asked for and not understood is refused."""
    text = await http.read()
    try:
        body = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object.")
    for name, value in body.items():
        if name not in known or (name == "parameters" and value):
            raise ApiError(
                400, f"'{name}' is not supported; leave it out.", param=name,
                code="unsupported_parameter",
            )  # fmt: skip
    return body
