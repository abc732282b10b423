"""The forecast over HTTP: quantiles, the highest of a window, scenarios and the model card."""

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from forecaster.document import forecast_body
from forecaster.forecast import Forecast
from forecaster.scenarios import Scenarios

_PARAMETERS = ("lead", "window", "paths")

Latest = Callable[[], Forecast | None]
Card = Callable[[], Mapping[str, Any] | None]


class QueryError(ValueError):
    """A parameter cannot be used: says which, what was expected and what was seen."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked besides the quantiles of each step."""

    lead: float = 0.0  # seconds from the origin on
    window: float | None = None  # seconds over which the highest is asked; None asks for none
    paths: int = 0


def add_forecast_routes(app: web.Application, latest: Latest, card: Card) -> None:
    """Answer under /api/forecast in this application."""
    pages = _Pages(latest, card)
    app.router.add_get("/api/forecast", pages.forecast)
    app.router.add_get("/api/forecast/card", pages.card)


def parse_query(raw: Mapping[str, str], forecast: Forecast) -> Query:
    """Read the parameters of a request, within what this forecast can answer."""
    for name in raw:
        if name not in _PARAMETERS:
            raise QueryError(f"there is no parameter {name!r}; there are {', '.join(_PARAMETERS)}")
    reach = forecast.steps * forecast.step
    lead = _seconds(raw, "lead", 0.0, lowest=0.0)
    if lead >= reach:
        raise QueryError(f"expected a lead within the {reach:g} s that are forecast, got {lead:g}")
    window = None
    if "lead" in raw or "window" in raw:
        left = reach - lead
        window = min(_seconds(raw, "window", left, lowest=forecast.step), left)
    return Query(lead, window, _paths(raw, forecast.scenarios))


@dataclass(frozen=True, slots=True)
class _Pages:
    latest: Latest
    newest_card: Card

    async def forecast(self, request: web.Request) -> web.Response:
        """Answer with the newest forecast, 400 to a question that makes no sense, or 503."""
        forecast = self.latest()
        if forecast is None:
            return _error(503, "There is no forecast: too little demand is known yet.")
        try:
            query = parse_query(request.query, forecast)
        except QueryError as error:
            return _error(400, f"The forecast cannot be asked so: {error}.")
        return _json(await asyncio.to_thread(lambda: _encoded(_body(forecast, query))))

    async def card(self, request: web.Request) -> web.Response:
        """Answer with the model card, or 503 while there is none."""
        if request.query:
            return _error(400, "The card takes no parameters.")
        body = await asyncio.to_thread(self.newest_card)
        if body is None:
            return _error(503, "There is no card: no forecast has been made yet.")
        return _json(_encoded(body))


def _body(forecast: Forecast, query: Query) -> dict[str, Any]:
    highest = None
    if query.window is not None:
        highest = forecast.highest(lead=query.lead, window=query.window)
    return forecast_body(forecast, highest=highest, paths=query.paths)


def _seconds(raw: Mapping[str, str], name: str, default: float, *, lowest: float) -> float:
    text = raw.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= lowest):
        raise QueryError(f"expected {name} in seconds, {lowest:g} at least, got {text[:40]!r}")
    return value


def _paths(raw: Mapping[str, str], scenarios: Scenarios | None) -> int:
    text = raw.get("paths")
    if text is None:
        return 0
    most = 0 if scenarios is None else scenarios.count
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= most):  # noqa: PLR2004
        raise QueryError(f"expected a number of paths from 0 to {most}, got {text[:40]!r}")
    return int(text)


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _error(status: int, message: str) -> web.Response:
    return _json(_encoded({"error": message}), status)
