import asyncio
import json

import pytest
from structlog.testing import capture_logs

from inference.gateway.rollout.controller import Controller, NotServedError
from inference.gateway.rollout.rollout import Order, Phase
from inference.gateway.rollout.rollouts import Rollouts
from inference.gateway.rollout.settings import RolloutSettings
from telemetry.publish import Metrics
from tests.inference.gateway.rollout.conftest import PROBES, plan_of, record_of


def sent(rollouts, version, count, *, failed=False, at):
    for _ in range(count):
        rollouts.observed("tiny", version, ttft=0.1, failed=failed, at=at)


def restarted(fleet, clock, settings):
    """The controller of a new process on the same file."""
    rollouts = Rollouts(Metrics(), clock=clock, settings=settings)
    return rollouts, Controller(rollouts, fleet, clock=clock, settings=settings)


async def test_a_rollout_goes_from_its_start_to_promotion(controller, rollouts, clock):
    running = await controller.start(plan_of())
    phases = []
    for _ in range(200):
        await controller.tick()
        phases.append((running.state.phase, running.weight))
        clock.advance(1.0)
        sent(rollouts, "v1", 2, at=clock.now())
        sent(rollouts, "v2", 2, at=clock.now())

    assert list(dict.fromkeys(phases)) == [
        (Phase.SHIFTING, 0.1), (Phase.SHIFTING, 0.5), (Phase.SHIFTING, 1.0),
        (Phase.PROMOTED, 1.0),
    ]  # fmt: skip


async def test_a_canary_that_fails_goes_back_and_the_log_says_why(controller, rollouts, clock):
    await controller.start(plan_of())
    await controller.tick()
    sent(rollouts, "v2", 5, failed=True, at=clock.now())
    with capture_logs() as logs:
        await controller.tick()

    assert rollouts.of("tiny").state.phase is Phase.ROLLED_BACK
    assert [(one["event"], one["reason"]) for one in logs] == [("rollout moved", "fails_outright")]


async def test_a_canary_that_vanishes_goes_back_after_a_while(controller, rollouts, fleet, clock):
    running = await controller.start(plan_of())
    await controller.tick()
    fleet.records.pop()
    await controller.tick()
    clock.advance(119.0)
    await controller.tick()
    assert running.state.phase is Phase.SHIFTING

    clock.advance(1.0)
    await controller.tick()

    assert running.state.phase is Phase.ROLLED_BACK


async def test_stable_must_serve_when_a_rollout_starts(controller):
    with pytest.raises(
        NotServedError, match="version 'v0' serves model 'tiny'; serving are: 'v1'"
    ):
        await controller.start(plan_of(stable="v0"))
    with pytest.raises(NotServedError, match="serving are: none"):
        await controller.start(plan_of(model="other"))


async def test_stable_is_the_one_other_version_that_serves(controller, fleet):
    assert controller.stable_beside("tiny", "v2") == "v1"
    fleet.records.append(record_of("r3", ""))

    with pytest.raises(NotServedError, match="beside 'v2' are: '', 'v1'"):
        controller.stable_beside("tiny", "v2")


async def test_a_killed_gateway_goes_on_where_it_stood(
    controller, rollouts, fleet, clock, settings
):
    await controller.start(plan_of())
    await controller.tick()
    sent(rollouts, "v2", 40, at=clock.now())
    clock.advance(5.0)
    await controller.tick()
    await controller.follow("tiny", Order.PAUSE)

    later, again = restarted(fleet, clock, settings)
    await again.restore()

    assert later.kept() == rollouts.kept()
    assert later.of("tiny").evidence.canary.requests == 40
    assert later.of("tiny").state.is_paused


async def test_moves_are_on_disk_at_once_and_evidence_soon(controller, rollouts, clock, settings):
    def on_disk():
        return json.loads(settings.path.read_text())["rollouts"][0]

    await controller.start(plan_of())
    await controller.tick()
    assert on_disk()["state"]["phase"] == "shifting"

    sent(rollouts, "v2", 3, at=clock.now())
    clock.advance(4.9)
    await controller.tick()
    assert on_disk()["canary"]["requests"] == 0

    clock.advance(0.2)
    await controller.tick()
    assert on_disk()["canary"]["requests"] == 3


async def test_a_finished_rollout_does_not_come_back(controller, fleet, clock, settings):
    await controller.start(plan_of())
    await controller.finish("tiny")
    later, again = restarted(fleet, clock, settings)
    await again.restore()

    assert list(later) == []


async def test_a_disk_that_cannot_be_written_stops_no_rollout(fleet, clock, metrics, tmp_path):
    (tmp_path / "file").touch()
    settings = RolloutSettings(path=tmp_path / "file" / "rollouts.json")
    rollouts = Rollouts(metrics, clock=clock, settings=settings)
    controller = Controller(rollouts, fleet, clock=clock, settings=settings)
    with capture_logs() as logs:
        running = await controller.start(plan_of())
        await controller.tick()

    assert running.state.phase is Phase.SHIFTING
    assert not controller.is_kept
    assert [one["event"] for one in logs].count("rollouts cannot be written down") == 1


class Asked:
    """Answers probes as each version would, and notes who was asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.replicas = []

    async def __call__(self, record, body):
        self.replicas.append(record.id)
        return self.answers[record.version]


async def test_probes_are_put_to_one_replica_of_each_version_in_turn(
    rollouts, fleet, clock, value
):
    fleet.records.append(record_of("r3", "v2"))
    ask = Asked(v1="4", v2="4")
    controller = Controller(rollouts, fleet, clock=clock, ask=ask)
    await controller.start(plan_of(probes=PROBES[:1]))
    await controller.probe()
    await controller.probe()
    await controller.tick()

    assert sorted(ask.replicas) == ["r1", "r1", "r2", "r3"]
    assert rollouts.of("tiny").state.phase is Phase.SHIFTING
    assert value("warmfront_rollout_requests_total", model="tiny", version="v2", outcome="ok") == 0


async def test_a_canary_that_answers_worse_goes_back_before_any_client(
    rollouts, fleet, clock, value
):
    controller = Controller(rollouts, fleet, clock=clock, ask=Asked(v1="4", v2="5"))
    running = await controller.start(plan_of(probes=PROBES[:1]))
    for _ in range(2):
        await controller.probe()
        await controller.tick()
    assert running.state.phase is Phase.PREPARING
    assert value("warmfront_rollout_quality_ratio", model="tiny", version="v2") == 0.0

    await controller.probe()
    await controller.tick()

    assert running.state.phase is Phase.ROLLED_BACK
    assert rollouts.version_for("tiny", None, "req-1") == "v1"


async def test_answers_that_come_after_their_step_are_left_out(rollouts, fleet, clock):
    begun, answers = asyncio.Event(), asyncio.Event()

    async def ask(_record, _body):
        begun.set()
        await answers.wait()
        return "4"

    controller = Controller(rollouts, fleet, clock=clock, ask=ask)
    running = await controller.start(plan_of(probes=PROBES))
    asked = asyncio.create_task(controller.probe())
    await begun.wait()
    await controller.follow("tiny", Order.PROMOTE)
    answers.set()
    await asked

    assert running.evidence.rounds == ()


async def test_no_probes_are_asked_once_it_is_over(rollouts, fleet, clock):
    ask = Asked(v1="4", v2="4")
    controller = Controller(rollouts, fleet, clock=clock, ask=ask)
    await controller.start(plan_of(probes=PROBES))
    await controller.follow("tiny", Order.ROLL_BACK)
    await controller.probe()

    assert ask.replicas == []


async def test_it_runs_by_itself_and_survives_a_turn_that_fails(rollouts, fleet, clock, tmp_path):
    class Shy(type(fleet)):
        """Fails the first time that it is asked."""

        is_shy = True

        def capacity(self, model, version=None):
            if self.is_shy:
                self.is_shy = False
                raise RuntimeError("not now")
            return super().capacity(model, version)

    settings = RolloutSettings(path=tmp_path / "rollouts.json", tick_seconds=0.01)
    controller = Controller(rollouts, Shy(fleet.records), clock=clock, settings=settings)
    with capture_logs() as logs:
        async with asyncio.timeout(5.0), controller.running():
            running = await controller.start(plan_of())
            while running.state.phase is not Phase.SHIFTING:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.01)

    assert "rollouts: a turn failed; the next comes" in [one["event"] for one in logs]
    later, again = restarted(fleet, clock, settings)
    async with again.running():
        assert later.of("tiny").state == running.state


async def test_ending_amid_a_write_leaves_a_whole_file(controller, fleet, clock, settings):
    task = asyncio.create_task(controller.start(plan_of()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    later, again = restarted(fleet, clock, settings)
    await again.restore()

    assert [one.plan for one in later] == [plan_of()]
