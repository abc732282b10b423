import asyncio
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from telemetry.lifecycle import ReplicaState
from tests.inference.gateway.fake_replica import ANSWER, ask, eventually

CHAT = "/v1/chat/completions"
REQUESTS = "warmfront_gateway_requests_total"


async def error(response):
    return (await response.json())["error"]


async def test_a_model_is_listed_before_any_replica_of_it_has_started(start_gateway, http):
    gateway = await start_gateway(models=["tiny", "big"])
    async with http.get(gateway.url + "/v1/models") as response:
        body = await response.json()

    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["big", "tiny"]
    assert all(model["object"] == "model" and model["created"] > 0 for model in body["data"])


async def test_a_model_of_the_process_table_is_known_even_after_its_last_replica(
    start_replica, start_gateway, http, table
):
    await start_replica("a", model="found")
    gateway = await start_gateway(models=[])
    table.remove("a")
    await gateway.refreshed()
    async with http.get(gateway.url + "/v1/models/found") as response:
        assert response.status == 200
        assert (await response.json())["id"] == "found"


async def test_a_name_with_slashes_is_a_name(start_gateway, http):
    gateway = await start_gateway(models=["org/model"])
    async with http.get(gateway.url + "/v1/models/org/model") as response:
        assert (await response.json())["id"] == "org/model"


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
async def test_a_model_nobody_knows_is_404_and_the_known_ones_are_named(start_gateway, http, path):
    gateway = await start_gateway()
    async with http.post(gateway.url + path, json=ask(model="gpt-9")) as response:
        assert response.status == 404
        said = await error(response)

    assert said["code"] == "model_not_found"
    assert said["param"] == "model"
    assert said["message"] == "Model 'gpt-9' is not known here; known models: tiny."


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(b"{", "not valid JSON", id="bad JSON"),
        pytest.param(b"[1, 2]", "must be a JSON object", id="not an object"),
        pytest.param(b'{"messages": []}', "`model` must be", id="no model"),
    ],
)
async def test_a_body_that_makes_no_request_is_400_in_openais_shape(
    start_gateway, http, body, says
):
    gateway = await start_gateway()
    async with http.post(gateway.url + CHAT, data=body) as response:
        assert response.status == 400
        said = await error(response)

    assert said["type"] == "invalid_request_error"
    assert says in said["message"]
    assert set(said) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_beyond_the_limit_is_413_and_says_the_limit(start_gateway, http, chunked):
    async def pieces():
        for _ in range(8):
            yield b"x" * 1024

    gateway = await start_gateway(max_body_bytes=4096)
    body = pieces() if chunked else b"x" * 8192
    async with http.post(gateway.url + CHAT, data=body) as response:
        assert response.status == 413
        assert "larger than 4096 bytes" in (await error(response))["message"]


async def test_a_body_within_the_limit_is_taken(start_replica, start_gateway, http):
    await start_replica()
    gateway = await start_gateway(max_body_bytes=4096)
    body = json.dumps(ask()).encode()
    async with http.post(gateway.url + CHAT, data=body + b" " * (4096 - len(body))) as response:
        assert response.status == 200


async def test_a_body_that_never_arrives_is_408(start_gateway, http):
    async def half():
        yield b'{"model":'
        await asyncio.sleep(0.5)

    gateway = await start_gateway(body_seconds=0.05)
    async with http.post(gateway.url + CHAT, data=half()) as response:
        assert response.status == 408
        assert (await error(response))["code"] == "request_timeout"


async def test_a_path_that_is_not_there_is_404_in_openais_shape(start_gateway, http):
    gateway = await start_gateway()
    async with http.post(gateway.url + "/v1/audio/speech", json=ask()) as response:
        assert response.status == 404
        assert "There is nothing at /v1/audio/speech" in (await error(response))["message"]


async def test_the_wrong_method_is_405_and_names_the_right_one(start_gateway, http):
    gateway = await start_gateway()
    async with http.get(gateway.url + CHAT) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
        assert "use POST" in (await error(response))["message"]


async def test_text_completions_go_to_their_own_path(start_replica, start_gateway, http):
    replica, gateway = await start_replica(), await start_gateway()
    async with http.post(
        gateway.url + "/v1/completions", json={"model": "tiny", "prompt": "a"}
    ) as response:
        assert await response.json() == ANSWER

    assert replica.requests[0][1] == {"model": "tiny", "prompt": "a"}


async def serving(http, gateway):
    async with http.get(gateway.url + "/ready") as response:
        return response.status, (await response.json())["serving"]


async def test_health_is_the_gateways_own_and_ready_is_about_replicas(
    start_replica, start_gateway, http
):
    replica = await start_replica(state=ReplicaState.STANDBY)
    gateway = await start_gateway()
    async with http.get(gateway.url + "/health") as response:
        assert response.status == 200
    assert await serving(http, gateway) == (503, {"tiny": 0})

    replica.move(ReplicaState.SERVING)
    await gateway.refreshed()
    assert await serving(http, gateway) == (200, {"tiny": 1})


async def test_what_is_refused_has_a_request_id_as_well(start_gateway, http):
    gateway = await start_gateway()
    headers = {"X-Request-ID": "abc-2"}
    async with http.post(gateway.url + CHAT, json=ask(model="x"), headers=headers) as response:
        assert response.status == 404
        assert response.headers["X-Request-ID"] == "abc-2"


async def test_a_request_id_is_kept_and_passed_on(start_replica, start_gateway, http):
    replica, gateway = await start_replica(), await start_gateway()
    async with http.post(
        gateway.url + CHAT, json=ask(), headers={"X-Request-ID": "abc-1"}
    ) as response:
        assert response.headers["X-Request-ID"] == "abc-1"

    assert replica.requests[0][0]["X-Request-ID"] == "abc-1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, '"><script>'])
async def test_a_request_id_that_is_no_plain_word_is_replaced(
    start_replica, start_gateway, http, given
):
    replica, gateway = await start_replica(), await start_gateway()
    for stream in (False, True):
        async with http.post(
            gateway.url + CHAT, json=ask(stream=stream), headers={"X-Request-ID": given}
        ) as response:
            assert response.headers["X-Request-ID"].startswith("req-")

    assert len({headers["X-Request-ID"] for headers, _ in replica.requests}) == 2


async def test_a_clients_credentials_stay_at_the_gateway(start_replica, start_gateway, http):
    replica, gateway = await start_replica(), await start_gateway()
    headers = {"Authorization": "Bearer secret", "Cookie": "a=b", "X-Mine": "1"}
    async with http.post(gateway.url + CHAT, json=ask(), headers=headers):
        pass

    assert not {"Authorization", "Cookie", "X-Mine"} & replica.requests[0][0].keys()


async def test_metrics_are_a_page_that_prometheus_reads(start_replica, start_gateway, http):
    await start_replica()
    gateway = await start_gateway()
    async with http.get(gateway.url + "/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        families = {one.name for one in text_string_to_metric_families(await response.text())}

    assert "warmfront_gateway_arrivals" in families


async def test_clients_cannot_make_metric_labels(start_gateway, http):
    gateway = await start_gateway()
    for number in range(5):
        async with http.post(gateway.url + CHAT, json=ask(model=f"evil-{number}")) as response:
            assert response.status == 404

    labels = {sample.labels.get("model") for sample in gateway.metrics.samples(0.0)}
    assert labels == {None, "tiny", "other"}
    assert gateway.value(REQUESTS, model="other", code="404") == 5


class BrokenTable:
    """A table that can be read until it breaks."""

    def __init__(self, table):
        self.table = table
        self.reads_when_broken = 0
        self.is_broken = False

    def records(self):
        if self.is_broken:
            self.reads_when_broken += 1
            raise RuntimeError("the disk is gone")
        return self.table.records()


async def test_a_table_that_cannot_be_read_leaves_routing_as_it_was(
    start_replica, start_gateway, http, table
):
    await start_replica()
    source = BrokenTable(table)
    gateway = await start_gateway(source=source)
    source.is_broken = True
    await eventually(lambda: source.reads_when_broken > 2)
    async with http.post(gateway.url + CHAT, json=ask()) as response:
        assert response.status == 200

    source.is_broken = False
    await start_replica("b", model="later")
    await gateway.until("warmfront_gateway_arrivals_total", 0, model="later")
