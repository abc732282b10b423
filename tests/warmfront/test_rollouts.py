"""The command, against the admin API of a real server."""

import argparse
import asyncio
import json
import socket

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from inference.errors import ApiError, error_shaper
from inference.gateway.rollout.admin import RolloutApi
from inference.gateway.rollout.controller import Controller
from inference.gateway.rollout.plan import Strategy
from inference.gateway.rollout.rollout import Phase
from inference.gateway.rollout.rollouts import Rollouts
from inference.gateway.rollout.verdict import Reason
from telemetry.clock import ManualClock
from telemetry.publish import Metrics
from tests.inference.gateway.rollout.conftest import Fleet, record_of
from warmfront.config import Config
from warmfront.errors import WarmfrontError
from warmfront.rollouts import REASONS, add_rollout
from warmfront.state_dir import prepare


@pytest.fixture
def rollouts():
    return Rollouts(Metrics(), clock=ManualClock(1000.0))


@pytest.fixture
async def config(rollouts, tmp_path):
    """Settings of a gateway that runs."""
    key = prepare(tmp_path / "state").admin_key.read_text()

    def authorise(http):
        if http.headers.get("Authorization") != f"Bearer {key}":
            raise ApiError(401, "The admin key is missing or wrong.", code="invalid_api_key")

    fleet = Fleet([record_of("r1", "v1"), record_of("r2", "v2")])
    controller = Controller(rollouts, fleet, clock=ManualClock(1000.0))
    app = web.Application(middlewares=[error_shaper("gateway")])
    app.add_routes(RolloutApi(rollouts, controller, authorise=authorise).routes())
    async with TestServer(app) as server:
        yield Config(
            state_dir=tmp_path / "state", addresses={"host": "127.0.0.1", "gateway": server.port}
        )


@pytest.fixture
def run(config, capsys):
    """Run one command and return what it prints."""

    async def command(*words, settings=config):
        """Run it apart from the server, whose log is not to be among what it prints."""
        parser = argparse.ArgumentParser()
        add_rollout(parser.add_subparsers(), lambda _arguments: settings)
        arguments = parser.parse_args(["rollout", *words])
        with capture_logs():
            assert await asyncio.to_thread(arguments.command, arguments) == 0
        return capsys.readouterr().out

    return command


async def test_what_is_not_said_is_left_to_the_gateway(run, rollouts):
    told = await run("start", "tiny", "--canary", "v2")
    plan = rollouts.of("tiny").plan

    assert (plan.stable, plan.canary, plan.steps) == ("v1", "v2", (0.05, 0.25, 0.5, 1.0))
    assert "preparing  0% of new sessions to v2" in told


async def test_everything_in_a_plan_can_be_said(run, rollouts, tmp_path):
    (tmp_path / "probes.json").write_text('[{"prompt": "2+2=", "expect": "4"}]')
    await run(
        "start", "tiny", "--canary", "v2", "--stable", "v1", "--strategy", "blue-green",
        "--steps", "10,100%", "--step-seconds", "30", "--min-requests", "7",
        "--max-ttft-ratio", "none", "--max-error-delta", "2", "--max-quality-drop", "20%",
        "--patience-seconds", "1", "--prepare-seconds", "2", "--drain-seconds", "3",
        "--probes", str(tmp_path / "probes.json"),
    )  # fmt: skip
    plan = rollouts.of("tiny").plan

    assert plan.strategy is Strategy.BLUE_GREEN
    assert (plan.steps, plan.step_seconds, plan.min_requests) == ((0.1, 1.0), 30.0, 7)
    assert (plan.max_ttft_ratio, plan.max_error_delta, plan.max_quality_drop) == (None, 0.02, 0.2)
    assert (plan.patience_seconds, plan.prepare_seconds, plan.drain_seconds) == (1.0, 2.0, 3.0)
    assert [probe.expect for probe in plan.probes] == ["4"]


async def test_a_rollout_is_watched_and_ordered(run, rollouts):
    assert "No rollout is under way" in await run("status")
    await run("start", "tiny", "--canary", "v2", "--json")
    told = await run("status")
    assert "it has just begun" in told
    assert told.count("v2") == 2

    assert "paused" in await run("pause", "tiny")
    await run("resume", "tiny")
    assert rollouts.of("tiny").state.is_paused is False
    assert "promoted  100% of new sessions to v2" in await run("promote", "tiny")
    assert "rolled back  0% of" in await run("roll-back", "tiny")
    await run("finish", "tiny")
    assert list(rollouts) == []


async def test_json_is_what_the_gateway_says(run, rollouts):
    started = json.loads(await run("start", "tiny", "--canary", "v2", "--json"))
    one = json.loads(await run("status", "tiny", "--json"))
    page = json.loads(await run("status", "--json"))

    assert started == one == page["rollouts"][0]
    assert rollouts.of("tiny").state.phase is Phase.PREPARING


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(("promote", "tiny"), "Model 'tiny' has no rollout", id="no rollout"),
        pytest.param(("start", "tiny", "--canary", "v1", "--stable", "v1"), "both", id="same"),
        pytest.param(("start", "no", "--canary", "v2"), "are: none", id="model"),
        pytest.param(
            ("start", "tiny", "--canary", "v2", "--steps", "50,20"), "Steps rise", id="steps"
        ),
        pytest.param(
            ("start", "tiny", "--canary", "v2", "--probes", "/no/such"), "cannot read", id="probes"
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_says_why(run, words, message):
    with pytest.raises(WarmfrontError, match=message):
        await run(*words)


async def test_probes_that_are_no_json_say_so(run, tmp_path):
    (tmp_path / "probes.json").write_text("2+2=4")
    with pytest.raises(WarmfrontError, match="is not JSON"):
        await run("start", "tiny", "--canary", "v2", "--probes", str(tmp_path / "probes.json"))


async def test_a_gateway_that_is_not_there_is_said(run, config):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(WarmfrontError, match=f"no answer from the gateway at .*{port}.* --url"):
        await run("status", "--url", f"http://127.0.0.1:{port}")
    with pytest.raises(WarmfrontError, match="its --url"):
        await run("status", settings=config.replaced("the test", addresses={"gateway": 0}))


async def test_another_key_is_refused_and_none_is_said(run, config, tmp_path):
    prepare(tmp_path / "other")
    with pytest.raises(WarmfrontError, match="admin key is missing or wrong"):
        await run("status", settings=config.model_copy(update={"state_dir": tmp_path / "other"}))
    with pytest.raises(WarmfrontError, match=r"cannot read the admin key .* --state-dir"):
        await run("status", settings=config.model_copy(update={"state_dir": tmp_path / "none"}))


@pytest.mark.parametrize("words", [("--steps", "all"), ("--max-ttft-ratio", "fast")])
async def test_what_is_no_number_is_refused_at_once(run, words, capsys):
    with pytest.raises(SystemExit):
        await run("start", "tiny", "--canary", "v2", *words)

    assert "expected a" in capsys.readouterr().err


def test_every_reason_has_a_sentence():
    assert set(REASONS) == {reason.value for reason in Reason}
