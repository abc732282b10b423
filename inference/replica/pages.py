"""What a replica tells of itself: who it is, whether it is well, and how busy."""

from aiohttp import web

from inference.replica.host import Host
from inference.replica.lifecycle import Lifecycle
from inference.replica.load import load_page, progress_age
from inference.replica.metrics import ReplicaMetrics
from telemetry.lifecycle import ReplicaState


class Pages:
    """The handlers of everything that is only read."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        host: Host,
        metrics: ReplicaMetrics,
        *,
        stall_seconds: float,
        vllm_names: bool,
    ) -> None:
        self._lifecycle = lifecycle
        self._host = host
        self._metrics = metrics
        self._stall_seconds = stall_seconds
        self._vllm_names = vllm_names

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, to be added to an application."""
        routes = [
            web.get("/health", self.health),
            web.get("/ready", self.ready),
            web.get("/live", self.live),
            web.get("/load", self.load),
            web.get("/metrics", self.metrics),
            web.get("/v1/models", self.models),
        ]
        return [*routes, web.get("/metrics/vllm", self.vllm)] if self._vllm_names else routes

    async def health(self, _http: web.Request) -> web.Response:
        """Say who the replica is and how busy."""
        identity, standings = self._lifecycle.identity, self._host.standings().values()
        return web.json_response(
            {
                "id": identity.id,
                "model": identity.model,
                "state": self._lifecycle.state.value,
                "since": self._lifecycle.since,
                "running": sum(one.running for one in standings),
                "waiting": sum(one.waiting for one in standings),
                "slots": self._lifecycle.slots,
            }
        )

    async def ready(self, _http: web.Request) -> web.Response:
        """Answer 200 while the replica takes requests."""
        state = self._lifecycle.state
        is_serving = state is ReplicaState.SERVING
        return web.json_response({"state": state.value}, status=200 if is_serving else 503)

    async def live(self, _http: web.Request) -> web.Response:
        """Answer 503 where an engine has had work for too long without getting on."""
        age = progress_age(self._host.standings())
        told = {"state": self._lifecycle.state.value, "progress_age": age}
        return web.json_response(told, status=503 if age > self._stall_seconds else 200)

    async def load(self, _http: web.Request) -> web.Response:
        """Tell gateways how busy each model is."""
        text = load_page(
            self._lifecycle.identity.id,
            self._lifecycle.state,
            self._host.standings(),
            aliases=self._host.models.aliases(),
            steps=self._metrics.steps,
        )
        return web.Response(text=text, content_type="application/json")

    async def metrics(self, http: web.Request) -> web.Response:
        """Tell everything that is measured."""
        accept = http.headers.get("Accept", "")
        body, content_type = self._metrics.page(self._host.standings(), accept)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def vllm(self, _http: web.Request) -> web.Response:
        """Tell the same under vLLM's names, as far as it has any."""
        body, content_type = self._metrics.vllm_page(self._host.standings())
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def models(self, _http: web.Request) -> web.Response:
        """List the models that can be asked."""
        created = int(self._lifecycle.since)
        data = [
            {"id": name, "object": "model", "created": created, "owned_by": "warmfront"}
            for name in self._host.models.names()
        ]
        return web.json_response({"object": "list", "data": data})
