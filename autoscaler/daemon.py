"""The autoscaler's loop: observe, plan, record, apply, at every tick."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from autoscaler.capacity import Capacity, CapacitySource
from autoscaler.lead_time import LeadTimes
from autoscaler.ledger import Entry, Ledger, LedgerError
from autoscaler.observation import Observation
from autoscaler.plan import Plan, PlanState, Policy
from autoscaler.planner import plan
from autoscaler.publication import Publication
from autoscaler.targets.target import ScalingTarget
from autoscaler.traffic import Traffic
from forecaster.forecast import Forecast
from telemetry.clock import Clock
from telemetry.publish import Metrics

_log = structlog.get_logger(__name__)


class TrafficSource(Protocol):
    """Where present demand is learnt from."""

    def traffic(self, at: float) -> Traffic:
        """Return the traffic as known at `at`."""
        ...


class Autoscaler:
    """Keeps the replicas of one model at what the planner wants; `policy` may be replaced."""

    def __init__(
        self,
        *,
        model: str,
        target: ScalingTarget,
        traffic: TrafficSource,
        capacity: CapacitySource,
        forecasts: Callable[[], Forecast | None],
        ledger: Ledger,
        lead_times: LeadTimes,
        metrics: Metrics,
        clock: Clock,
        policy: Policy,
        turn_deadline_seconds: float = 30.0,
    ) -> None:
        self.policy = policy
        self._model = model
        self._target = target
        self._traffic = traffic
        self._capacity = capacity
        self._forecasts = forecasts
        self._ledger = ledger
        self._lead_times = lead_times
        self._clock = clock
        self._turn_deadline = turn_deadline_seconds
        self._shown = Publication(metrics, model=model)
        self._state = PlanState()

    async def tick(self) -> Plan:
        """Observe, plan, record and apply, once."""
        observation, capacity = await self._observe()
        lead = self._lead_times.lead
        decided, self._state = plan(
            observation, self._forecasts(), capacity,
            policy=self.policy, lead=lead, state=self._state, now=observation.at,
        )  # fmt: skip
        self._shown.lead(lead)
        self._shown.plan(decided)
        await self._record(decided, observation)
        await self._target.apply(decided)
        return decided

    async def run(self) -> None:
        """Turn until cancelled; a turn that fails is counted and the next one tries again."""
        while True:
            began = self._clock.monotonic()
            try:
                async with asyncio.timeout(self._turn_deadline):
                    await self.tick()
            except Exception:  # noqa: BLE001 - the loop's edge: counted, logged, tried again
                self._shown.error()
                _log.exception("autoscaler turn failed", model=self._model)
            elapsed = self._clock.monotonic() - began
            self._shown.turn(elapsed)
            await asyncio.sleep(max(self.policy.tick_seconds - elapsed, 0.0))

    async def _observe(self) -> tuple[Observation, Capacity | None]:
        """See the replicas, then ask the store what they are asked to do and can do."""
        fleet = await self._target.observe()
        self._shown.fleet(fleet, now=self._clock.monotonic())
        at = self._clock.now()
        traffic = await asyncio.to_thread(self._traffic.traffic, at)
        capacity = await asyncio.to_thread(self._capacity.capacity, fleet, at=at)
        return Observation(
            at=at,
            model=self._model,
            fleet=fleet,
            demand=traffic.demand,
            held=traffic.held,
            input_tokens=traffic.input_tokens,
            output_tokens=traffic.output_tokens,
        ), capacity

    async def _record(self, decided: Plan, observation: Observation) -> None:
        """Write the plan down; a ledger that cannot be written does not stop the scaling."""
        try:
            await asyncio.to_thread(self._ledger.append, Entry.of(decided, observation))
        except LedgerError as error:
            self._shown.error()
            _log.error("plan not recorded", error=str(error))
