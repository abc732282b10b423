import asyncio

import numpy as np
import pytest

from autoscaler.daemon import Autoscaler
from autoscaler.lead_time import LeadTimes
from autoscaler.ledger import Ledger
from autoscaler.plan import Mode, Policy, Reason
from autoscaler.profile import ProfileReader
from autoscaler.targets.fake import FakeTarget
from autoscaler.traffic import TrafficReader
from forecaster.forecast import Forecast
from telemetry import catalog
from telemetry.publish import Metrics
from telemetry.series import Sample

# 10 / 10 = 1 request ends per iteration of 0.1 s: 10 requests/s, of which 0.5 is planned with.
PROFILE = {
    catalog.REPLICA_ITERATION_FIXED: 0.1,
    catalog.REPLICA_ITERATION_DECODE: 0.0,
    catalog.REPLICA_ITERATION_PREFILL: 0.0,
    catalog.REPLICA_SLOTS: 10.0,
}
POLICY = Policy(minimum=1, maximum=8, utilisation=0.5, hold_seconds=60.0, tick_seconds=1.0)


class Town:
    """A gateway and replicas that publish, and the autoscaler that watches them."""

    def __init__(self, store, switch, clock, ledger):
        self.store, self.switch, self.clock, self.ledger = store, switch, clock, ledger
        self.metrics, self.leads = Metrics(), LeadTimes(start_prior=10.0, wake_prior=1.0)
        self.target = FakeTarget(clock, start_seconds=10.0, lead_times=self.leads)
        self.forecast = None
        self.totals = {}
        self.autoscaler = self.daemon(self.target)

    def daemon(self, target):
        return Autoscaler(
            model="m",
            target=target,
            traffic=TrafficReader(self.switch, model="m"),
            capacity=ProfileReader(self.switch, model="m"),
            forecasts=lambda: self.forecast,
            ledger=self.ledger,
            lead_times=self.leads,
            metrics=self.metrics,
            clock=self.clock,
            policy=POLICY,
        )

    def second(self, demand):
        """Let one second pass in which so many requests come and are answered."""
        self.clock.advance(1.0)
        self._grow(catalog.GATEWAY_ARRIVALS, demand)
        self._grow(catalog.GATEWAY_REQUESTS, demand, code="200")
        self._grow(catalog.GATEWAY_INPUT_TOKENS, 10 * demand)
        self._grow(catalog.GATEWAY_OUTPUT_TOKENS, 10 * demand)
        for metric, value in PROFILE.items():
            self._write(metric, value, replica="a")

    async def live(self, seconds, demand):
        for _ in range(seconds):
            self.second(demand)
            decided = await self.autoscaler.tick()
        return decided

    def foresee(self, level):
        values = np.full((30, 2), float(level))
        self.forecast = Forecast(self.clock.now(), 10.0, (0.5, 0.99), values, "fixed", 100)

    def value(self, metric, **labels):
        (found,) = [
            sample.value
            for sample in self.metrics.samples(0.0)
            if sample.name == metric.name and labels.items() <= sample.labels.items()
        ]
        return found

    def _grow(self, metric, amount, **labels):
        self.totals[metric.name] = self.totals.get(metric.name, 0.0) + amount
        self._write(metric, self.totals[metric.name], **labels)

    def _write(self, metric, value, **labels):
        sample = Sample(metric.name, {"model": "m", **labels}, self.clock.now(), value)
        self.store.write([sample])


@pytest.fixture
def town(store, switch, clock, tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield Town(store, switch, clock, ledger)
    ledger.close()


async def test_replicas_follow_a_forecast_before_its_demand_is_there(town):
    await town.live(12, demand=2)
    town.foresee(20)
    await town.live(12, demand=2)

    assert (await town.target.observe()).serving == 4
    assert town.value(catalog.CAPACITY) == pytest.approx(10.0)


async def test_without_a_forecast_replicas_follow_demand_and_the_plan_says_so(town):
    decided = await town.live(25, demand=18)

    assert decided.reason is Reason.NO_FORECAST
    assert decided.serving == 4
    assert (await town.target.observe()).serving == 4


async def test_demand_that_falls_lets_replicas_go_after_the_hold(town):
    await town.live(25, demand=18)

    held = await town.live(50, demand=2)
    assert (held.serving, held.reason) == (4, Reason.HELD)

    released = await town.live(40, demand=2)
    assert released.serving == 1
    assert (await town.target.observe()).serving == 1


@pytest.mark.parametrize("fault", ["the store is unavailable", "the gateway has died"])
async def test_nothing_goes_down_on_silence(town, unavailable, fault):
    await town.live(25, demand=18)
    if fault == "the store is unavailable":
        town.switch.reader = unavailable

    for _ in range(200):
        town.clock.advance(1.0)
        decided = await town.autoscaler.tick()

    assert decided.reason is Reason.NO_DATA
    assert (await town.target.observe()).serving == 4


async def test_a_killed_replica_is_replaced_even_while_the_store_is_away(town, unavailable):
    await town.live(25, demand=18)
    town.switch.reader = unavailable
    town.target.crash((await town.target.observe()).replicas[0].id)

    for _ in range(12):
        town.clock.advance(1.0)
        await town.autoscaler.tick()

    assert (await town.target.observe()).serving == 4


async def test_a_restarted_daemon_holds_the_fleet_that_it_finds(town):
    await town.live(25, demand=18)

    town.autoscaler = town.daemon(town.target)
    decided = await town.live(1, demand=0)

    assert decided.serving == 4


async def test_every_decision_is_in_the_ledger_with_its_numbers(town):
    decided = await town.live(3, demand=2)

    entries = town.ledger.last(10)
    assert len(entries) == 3
    assert entries[-1].numbers == decided.numbers
    assert entries[-1].reason is decided.reason


async def test_a_ledger_that_cannot_be_written_is_counted_and_stops_no_scaling(town):
    town.ledger.close()

    await town.live(12, demand=2)

    assert town.value(catalog.AUTOSCALER_ERRORS) == 12
    assert (await town.target.observe()).serving == 1


async def test_the_policy_can_be_replaced_while_it_runs(town):
    town.foresee(40)
    assert (await town.live(5, demand=2)).serving == 8

    town.autoscaler.policy = Policy(
        minimum=0, maximum=2, utilisation=0.5, mode=Mode.REACTIVE, hold_seconds=0.0
    )

    assert (await town.live(1, demand=2)).serving == 1


async def test_lead_times_and_wants_are_published(town):
    await town.live(12, demand=2)

    assert town.value(catalog.LEAD_TIME, step="start") == 10.0
    assert town.value(catalog.LEAD_TIME, step="wake") == 1.0
    assert town.value(catalog.REPLICAS_WANTED, tier="serving") == 1.0
    assert town.value(catalog.REPLICAS, state="serving") == 1.0
    assert town.value(catalog.REPLICA_SECONDS, state="starting") == 9.0  # as seen, turn by turn


class Broken:
    """A target that fails a few times, then says when it was observed again."""

    def __init__(self, failures, then):
        self.failures, self.then = failures, then
        self.recovered = asyncio.Event()

    async def observe(self):
        self.failures -= 1
        if self.failures >= 0:
            raise OSError("no process table")
        return await self.then.observe()

    async def apply(self, plan):
        await self.then.apply(plan)
        self.recovered.set()


async def test_a_turn_that_fails_is_counted_and_the_loop_goes_on(town, capsys):
    target = Broken(2, then=town.target)
    autoscaler = town.daemon(target)
    autoscaler.policy = Policy(tick_seconds=0.01)
    running = asyncio.create_task(autoscaler.run())
    async with asyncio.timeout(20):
        await target.recovered.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert town.value(catalog.AUTOSCALER_ERRORS) == 2
    assert "no process table" in capsys.readouterr().out
