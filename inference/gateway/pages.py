"""The gateway's pages: which models there are, whether it is well and ready, its metrics."""

from aiohttp import web

from inference.gateway.drain import Drain
from inference.gateway.errors import UnknownModelError
from inference.gateway.routing.roster import Roster
from inference.gateway.tenancy.keys import Keyring
from telemetry.publish import Metrics
from telemetry.vllm_names import GATEWAY, vllm_page


class Pages:
    """What can be read about the gateway."""

    def __init__(self, roster: Roster, drain: Drain, metrics: Metrics, *, keys: Keyring) -> None:
        self._roster = roster
        self._keys = keys
        self._drain = drain
        self._metrics = metrics

    def routes(self, *, has_vllm_names: bool) -> list[web.RouteDef]:
        """Return the routes, to be added to an application."""
        routes = [
            web.get("/v1/models", self.models),
            web.get("/v1/models/{model:.+}", self.model),
            web.get("/health", self.health),
            web.get("/ready", self.ready),
            web.get("/metrics", self.metrics),
        ]
        return [*routes, web.get("/metrics/vllm", self.vllm)] if has_vllm_names else routes

    async def models(self, http: web.Request) -> web.Response:
        """List the models that are known."""
        self._keys.caller(http.headers)
        data = [self._card(model) for model in sorted(self._roster.models)]
        return web.json_response({"object": "list", "data": data})

    async def model(self, http: web.Request) -> web.Response:
        """Tell about one model."""
        self._keys.caller(http.headers)
        model = http.match_info["model"]
        if model not in self._roster.models:
            raise UnknownModelError(
                f"Model {model[:100]!r} is not known here; GET /v1/models lists them.",
                param="model",
            )
        return web.json_response(self._card(model))

    async def health(self, _http: web.Request) -> web.Response:
        """Tell that the gateway answers."""
        return web.json_response({"status": "ok"})

    async def ready(self, _http: web.Request) -> web.Response:
        """Tell whether requests may come: 503 while nothing serves, or while it drains."""
        serving = {model: self._roster.serving(model) for model in sorted(self._roster.models)}
        is_ready = any(serving.values()) and not self._drain.is_begun
        status = "ready" if is_ready else "no replica is serving"
        if self._drain.is_begun:
            status = "draining"
        body = {"status": status, "serving": serving}
        return web.json_response(body, status=200 if is_ready else 503)

    async def metrics(self, http: web.Request) -> web.Response:
        """Show the metrics, in the format that is asked for."""
        body, content_type = self._metrics.render(http.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def vllm(self, _http: web.Request) -> web.Response:
        """Show the metrics that vLLM has too, under its names."""
        body, content_type = vllm_page(self._metrics.families(), names=GATEWAY)
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _card(self, model: str) -> dict[str, str | int]:
        created = int(self._roster.models[model])
        return {"id": model, "object": "model", "created": created, "owned_by": "warmfront"}
