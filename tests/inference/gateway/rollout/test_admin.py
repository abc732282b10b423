import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from inference.errors import ApiError, error_shaper
from inference.gateway.rollout.admin import RolloutApi
from inference.gateway.rollout.rollout import Phase
from tests.inference.gateway.rollout.conftest import record_of

PLAN = {"model": "tiny", "canary": "v2", "steps": [0.1, 1.0], "min_requests": 10}


def authorise(http):
    if http.headers.get("Authorization") != "Bearer secret":
        raise ApiError(401, "The admin key is missing or wrong.", code="invalid_api_key")


@pytest.fixture
async def api(rollouts, controller):
    app = web.Application(middlewares=[error_shaper("gateway")])
    app.add_routes(RolloutApi(rollouts, controller, authorise=authorise).routes())
    async with TestClient(TestServer(app), headers={"Authorization": "Bearer secret"}) as client:
        yield client


async def asked(api, method, path="", **body):
    async with api.request(method, f"/admin/rollouts{path}", json=body or None) as answer:
        return answer.status, await answer.json()


async def error_of(api, method, path="", **body):
    status, answer = await asked(api, method, path, **body)
    return status, answer["error"]["param"], answer["error"]["message"]


async def test_a_rollout_from_start_to_finish(api, controller, rollouts, clock):
    status, told = await asked(api, "POST", **PLAN)
    assert (status, told["phase"], told["stable"]["version"]) == (201, "preparing", "v1")

    await controller.tick()
    for version in ("v1", "v2"):
        for _ in range(20):
            rollouts.observed("tiny", version, ttft=0.1, failed=False, at=clock.now())
    _, page = await asked(api, "GET")
    (told,) = page["rollouts"]
    assert (told["phase"], told["weight"]) == ("shifting", 0.1)
    assert told["canary"]["requests"] == 20
    assert told["canary"]["failed_share"] == 0.0
    assert told["comparison"]["ttft_ratio"] == 1.0
    assert told["plan"]["step_seconds"] == 300.0
    assert page["is_kept"] is True

    status, told = await asked(api, "POST", "/tiny", action="promote")
    assert (status, told["phase"], told["reason"]) == (200, "promoted", "ordered")
    assert [move["phase"] for move in told["moves"]] == ["shifting", "promoted"]

    assert (await asked(api, "DELETE", "/tiny"))[0] == 200
    assert await asked(api, "GET") == (200, {"rollouts": [], "is_kept": True})


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("GET", "/tiny"), ("POST", "/tiny"), ("DELETE", "/tiny")],
)
async def test_nobody_gives_orders_without_the_key(api, rollouts, method, path):
    async with api.request(
        method, f"/admin/rollouts{path}", json=PLAN, headers={"Authorization": "Bearer other"}
    ) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] == "invalid_api_key"
    assert list(rollouts) == []


@pytest.mark.parametrize(
    ("change", "param", "message"),
    [
        pytest.param({"canary": "v1", "stable": "v1"}, None, "Stable and canary", id="same"),
        pytest.param({"steps": [0.5, 0.1]}, None, "Steps rise from each", id="steps"),
        pytest.param({"steps": "all"}, "steps", "'steps': Input should be", id="no list"),
        pytest.param({"min_requests": "5"}, "min_requests", "valid integer", id="text"),
        pytest.param({"strategy": "yolo"}, "strategy", "'canary' or 'blue_green'", id="strategy"),
        pytest.param({"step": 5}, "step", "Unexpected keyword", id="mistyped"),
        pytest.param(
            {"probes": [{"prompt": "2+2", "expect": "("}]}, "probes.0", "no regular", id="probe"
        ),
        pytest.param({"stable": "v7"}, "stable", "No replica of version 'v7'", id="not served"),
        pytest.param({"model": "huge"}, "stable", "serving beside 'v2' are: none", id="no model"),
    ],
)  # fmt: skip
async def test_a_plan_that_cannot_be_followed_is_refused(api, rollouts, change, param, message):
    status, where, why = await error_of(api, "POST", **{**PLAN, **change})

    assert (status, where) == (400, param)
    assert message in why
    assert list(rollouts) == []


@pytest.mark.parametrize("field", ["model", "canary"])
async def test_a_plan_names_model_and_canary(api, field):
    plan = {name: value for name, value in PLAN.items() if name != field}
    status, where, _ = await error_of(api, "POST", **plan, stable="v1")

    assert (status, where) == (400, field)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'"x"'], ids=["empty", "cut", "list", "bytes", "text"]
)
async def test_a_body_that_is_no_object_is_refused(api, body):
    async with api.post("/admin/rollouts", data=body) as answer:
        assert answer.status == 400
        assert "body" in (await answer.json())["error"]["message"]


async def test_orders_that_cannot_be_followed_are_refused(api):
    assert (await error_of(api, "GET", "/tiny"))[:2] == (404, "model")
    assert (await error_of(api, "DELETE", "/tiny"))[:2] == (404, "model")
    assert (await error_of(api, "POST", "/tiny", action="promote"))[:2] == (404, "model")
    await asked(api, "POST", **PLAN)
    assert (await error_of(api, "POST", "/tiny", action="explode"))[:2] == (400, "action")
    assert (await error_of(api, "POST", **PLAN))[:2] == (409, "model")
    await asked(api, "POST", "/tiny", action="roll_back")

    assert await error_of(api, "POST", "/tiny", action="promote") == (
        409, "action", "The rollout is rolled back already; finish it and start another.",
    )  # fmt: skip


async def test_a_rollout_can_be_paused_and_resumed(api):
    await asked(api, "POST", **PLAN)

    assert (await asked(api, "POST", "/tiny", action="pause"))[1]["is_paused"] is True
    assert (await asked(api, "POST", "/tiny", action="resume"))[1]["is_paused"] is False


async def test_names_of_models_may_have_slashes(api, fleet, rollouts):
    fleet.records.append(record_of("r3", "v1", model="org/tiny"))
    await asked(api, "POST", **{**PLAN, "model": "org/tiny"})
    status, told = await asked(api, "POST", "/org/tiny", action="roll_back")

    assert (status, told["model"]) == (200, "org/tiny")
    assert rollouts.of("org/tiny").state.phase is Phase.ROLLED_BACK


async def test_the_plan_is_told_as_it_can_be_sent(api):
    _, told = await asked(
        api,
        "POST",
        **PLAN,
        probes=[{"messages": [{"role": "user", "content": "2+2"}], "expect": "4"}],
    )
    await asked(api, "DELETE", "/tiny")
    status, again = await asked(api, "POST", **json.loads(json.dumps(told["plan"])))

    assert status == 201
    assert again["plan"] == told["plan"]
