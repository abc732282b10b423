"""The admin's orders for rollouts over HTTP: start, watch, promote, roll back, finish."""

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from inference.errors import ApiError
from inference.gateway.rollout.controller import Controller, NotServedError
from inference.gateway.rollout.plan import RolloutPlan
from inference.gateway.rollout.rollout import Order, OrderRefusedError
from inference.gateway.rollout.rollouts import NoRolloutError, RolloutExistsError, Rollouts
from inference.gateway.rollout.running import Running
from inference.gateway.rollout.view import view

_PLAN = TypeAdapter(RolloutPlan)
_Handler = Callable[["RolloutApi", web.Request], Awaitable[web.Response]]
_Parsed = TypeVar("_Parsed")


class _Ordered(BaseModel):
    model_config = ConfigDict(extra="forbid")

    action: Order


_ORDER = TypeAdapter(_Ordered)


def _authorised(handler: _Handler) -> _Handler:
    """Ask who it is; say what came of an order that could not be followed."""

    @wraps(handler)
    async def answer(api: "RolloutApi", http: web.Request) -> web.Response:
        api.authorise(http)
        try:
            return await handler(api, http)
        except NoRolloutError as error:
            raise ApiError(
                404, _sentence(error), param="model", code="rollout_not_found"
            ) from error
        except RolloutExistsError as error:
            raise ApiError(409, _sentence(error), param="model", code="rollout_exists") from error
        except OrderRefusedError as error:
            raise ApiError(409, _sentence(error), param="action", code="illegal_move") from error
        except NotServedError as error:
            raise ApiError(
                400, _sentence(error), param="stable", code="version_not_served"
            ) from error

    return answer


class RolloutApi:
    """The handlers; `authorise` raises an ApiError for whoever may not give orders."""

    def __init__(
        self,
        rollouts: Rollouts,
        controller: Controller,
        *,
        authorise: Callable[[web.Request], object],
    ) -> None:
        self._rollouts = rollouts
        self._controller = controller
        self.authorise = authorise

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, to be added to an application."""
        one = "/admin/rollouts/{model:.+}"  # names of models may have slashes
        return [
            web.get("/admin/rollouts", self.all),
            web.post("/admin/rollouts", self.start),
            web.get(one, self.one),
            web.post(one, self.order),
            web.delete(one, self.finish),
        ]

    @_authorised
    async def all(self, _http: web.Request) -> web.Response:
        """Show every rollout."""
        return web.json_response(
            {
                "rollouts": [self._view(one) for one in self._rollouts],
                "is_kept": self._controller.is_kept,
            }
        )

    @_authorised
    async def one(self, http: web.Request) -> web.Response:
        """Show one rollout."""
        return web.json_response(self._view(self._rollouts.of(http.match_info["model"])))

    @_authorised
    async def start(self, http: web.Request) -> web.Response:
        """Start the rollout that is planned in the body."""
        fields = await _fields(http)
        if fields.get("stable") is None and isinstance(fields.get("model"), str):
            beside = str(fields.get("canary"))
            fields["stable"] = self._controller.stable_beside(fields["model"], beside)
        running = await self._controller.start(_parsed(_PLAN, fields))
        return web.json_response(self._view(running), status=201)

    @_authorised
    async def order(self, http: web.Request) -> web.Response:
        """Promote, roll back, pause or resume."""
        order = _parsed(_ORDER, await _fields(http)).action
        running = await self._controller.follow(http.match_info["model"], order)
        return web.json_response(self._view(running))

    @_authorised
    async def finish(self, http: web.Request) -> web.Response:
        """Remove a rollout, wherever it stands; requests go to any version from then on."""
        running = await self._controller.finish(http.match_info["model"])
        return web.json_response(self._view(running))

    def _view(self, running: Running) -> dict[str, Any]:
        return view(running, self._controller.readiness(running))


async def _fields(http: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await http.read())
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object.")
    return body


def _parsed(kind: TypeAdapter[_Parsed], fields: dict[str, Any]) -> _Parsed:
    """Check a body; ApiError 400 says which field is wrong, and why."""
    try:
        # As JSON, so that lists are tuples and names are enums, yet "5" is no number.
        return kind.validate_json(json.dumps(fields), strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        reason = problem["msg"].removeprefix("Value error, ")
        told = f"'{place}': {reason}." if place else f"{reason[0].upper()}{reason[1:]}."
        raise ApiError(400, told, param=place or None) from error


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
