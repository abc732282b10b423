"""Wiring: the one place where the parts are chosen and handed to each other."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from alerts.anomaly.service import AnomalyService, AnomalySettings
from autoscaler.daemon import Autoscaler
from autoscaler.lead_time import LeadTimes
from autoscaler.ledger import Ledger
from autoscaler.plan import Mode, Policy
from autoscaler.profile import ProfileReader
from autoscaler.targets.local import LocalTarget
from autoscaler.targets.replica_client import ReplicaClient
from autoscaler.targets.replica_log import ReplicaLogs
from autoscaler.targets.supervised import Deadlines
from autoscaler.traffic import TrafficReader
from dashboards.console.console import Console
from dashboards.console.server import build_console
from dashboards.console.snapshot import Settings as ConsoleSettings
from exporter.collect import Collector
from exporter.server import create_app
from exporter.sources.choose import choose_source
from exporter.sources.simulated import SimulatedMachine, SimulatedSource, live_replicas
from forecaster.live.service import ForecastService
from telemetry.clock import Clock
from telemetry.process_table import ProcessTable, is_alive
from telemetry.publish import Metrics
from telemetry.scrape import Scraper, Target
from telemetry.sqlite_store import SqliteStore
from telemetry.tracing import Tracing, open_tracing
from warmfront.config import Config
from warmfront.feeds import feeds
from warmfront.forecasts import add_forecast_pages, demand_retention, forecasts_of
from warmfront.gateway import gateway_of, guard_notes
from warmfront.replica_command import replica_command
from warmfront.state_dir import StateDir

_HOST = platform.node()


@dataclass(frozen=True, slots=True)
class Base:
    """What almost every part is built on."""

    config: Config
    state: StateDir
    urls: Mapping[str, str]  # where each server listens
    clock: Clock
    table: ProcessTable
    store: SqliteStore
    metrics: Metrics  # of the daemon; the gateway keeps its own
    tracing: Tracing

    @property
    def model(self) -> str:
        """Name of the model that is served."""
        return self.config.model.name


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that runs, and everything that must be closed."""

    base: Base
    gateway: web.Application
    exporter: web.Application
    console_app: web.Application
    console: Console
    collector: Collector
    scraper: Scraper
    forecasts: ForecastService
    anomalies: AnomalyService
    client: ReplicaClient
    target: LocalTarget
    ledger: Ledger
    autoscaler: Autoscaler


def open_base(config: Config, state: StateDir, urls: Mapping[str, str], clock: Clock) -> Base:
    """Open what the parts are built on."""
    store = SqliteStore(
        state.metrics,
        retention_seconds=config.telemetry.retention_hours * 3600,
        thin_step=config.forecast.step_seconds,
        longer=demand_retention(config),
        clock=clock,
    )
    return Base(
        config=config,
        state=state,
        urls=urls,
        clock=clock,
        table=ProcessTable(state.replicas),
        store=store,
        metrics=Metrics(),
        tracing=open_tracing(
            "warmfront", otlp_endpoint=config.telemetry.otlp_endpoint, instance=_HOST
        ),
    )


def wire(base: Base, *, compression: float) -> Parts:
    """Build every part; `compression` is how many seconds of a trace pass in one."""
    gateway_metrics, lead_times = Metrics(), LeadTimes(start_prior=5.0, wake_prior=0.5)
    collector = _collector(base)
    forecasts = forecasts_of(
        base.config, base.state, reader=base.store, metrics=base.metrics, clock=base.clock
    )
    anomalies = AnomalyService(base.store, base.metrics, base.clock, _anomaly_settings(base))
    client = ReplicaClient(base.state.admin_key.read_text().strip())
    target, ledger = _target(base, client, lead_times), Ledger(base.state.ledger)
    console = Console(
        base.store,
        settings=_console_settings(base, compression, is_simulated=_is_simulated(collector)),
        clock=base.clock,
        feeds=feeds(forecasts, anomalies, target, ledger),
    )
    return Parts(
        base=base,
        gateway=gateway_of(
            base.config,
            base.state,
            table=base.table,
            metrics=gateway_metrics,
            tracing=base.tracing,
            clock=base.clock,
        ),
        exporter=create_app(collector, hostname=_HOST),
        console_app=_pages(base, console, forecasts),
        console=console,
        collector=collector,
        scraper=_scraper(base, gateway_metrics),
        forecasts=forecasts,
        anomalies=anomalies,
        client=client,
        target=target,
        ledger=ledger,
        autoscaler=Autoscaler(
            model=base.model,
            target=target,
            traffic=_traffic(base),
            capacity=_capacity(base),
            forecasts=forecasts.latest,
            ledger=ledger,
            lead_times=lead_times,
            metrics=base.metrics,
            clock=base.clock,
            policy=policy_of(base.config),
        ),
    )


def policy_of(config: Config) -> Policy:
    """Return the autoscaler's policy as the settings have it."""
    own = config.autoscaler
    return Policy(
        minimum=own.minimum,
        maximum=own.maximum,
        standby=own.standby,
        quantile=own.quantile,
        utilisation=own.utilisation,
        hold_seconds=own.hold_seconds,
        mode=Mode(own.mode),
        tick_seconds=own.tick_seconds,
    )


def _pages(base: Base, console: Console, forecasts: ForecastService) -> web.Application:
    """Return the daemon's pages: the console's, and the forecast's beside them."""
    app = build_console(console, base.metrics.render)
    add_forecast_pages(app, forecasts, base.config)
    return app


def _collector(base: Base) -> Collector:
    """Collect from the machine's GPUs, or simulate one per replica slot."""
    scrape = base.config.telemetry.scrape_seconds
    machine = SimulatedMachine(
        slots=base.config.autoscaler.maximum,
        idle_watts=60.0,
        limit_watts=700.0,
        window_seconds=max(2.0, 3 * scrape),
    )

    def simulated() -> SimulatedSource:
        return SimulatedSource(
            base.store, base.clock, machine, replicas=lambda: live_replicas(base.table)
        )

    return Collector(choose_source(simulated), base.clock, cadence_seconds=scrape)


def _is_simulated(collector: Collector) -> bool:
    return collector.source_name == SimulatedSource.name


def _scraper(base: Base, gateway_metrics: Metrics) -> Scraper:
    return Scraper(
        _scrape_targets(base),
        local=[gateway_metrics],
        metrics=base.metrics,
        store=base.store,
        clock=base.clock,
        interval=base.config.telemetry.scrape_seconds,
    )


def _scrape_targets(base: Base) -> Callable[[], Sequence[Target]]:
    """List the pages outside this process: the exporter's, and every live replica's."""

    def targets() -> Sequence[Target]:
        replicas = [one for one in base.table.records() if one.port and is_alive(one)]
        pages = [Target("replica", one.id, f"{one.url}/metrics") for one in replicas]
        return [Target("exporter", _HOST, f"{base.urls['exporter']}/metrics"), *pages]

    return targets


def _target(base: Base, client: ReplicaClient, lead_times: LeadTimes) -> LocalTarget:
    own = base.config.replica
    return LocalTarget(
        model=base.model,
        command=replica_command(base.config, base.state),
        table=base.table,
        client=client,
        logs=ReplicaLogs(base.state.logs / "replicas"),
        metrics=base.metrics,
        lead_times=lead_times,
        clock=base.clock,
        maximum=base.config.autoscaler.maximum,
        deadlines=Deadlines(
            start_seconds=own.start_timeout_seconds, drain_seconds=own.drain_seconds + 5.0
        ),
    )


def _traffic(base: Base) -> TrafficReader:
    window = base.config.autoscaler.demand_window_seconds
    return TrafficReader(base.store, model=base.model, demand_window_seconds=window)


def _capacity(base: Base) -> ProfileReader:
    window = base.config.autoscaler.demand_window_seconds
    return ProfileReader(
        base.store, model=base.model, window_seconds=window, settle_seconds=min(5.0, window)
    )


def _anomaly_settings(base: Base) -> AnomalySettings:
    return AnomalySettings(model=base.model, step_seconds=base.config.forecast.step_seconds)


def _console_settings(base: Base, compression: float, *, is_simulated: bool) -> ConsoleSettings:
    scrape = base.config.telemetry.scrape_seconds
    return ConsoleSettings(
        model=base.model,
        step_seconds=base.config.forecast.step_seconds,
        addresses={
            "API": f"{base.urls['gateway']}/v1",
            "console": base.urls["console"],
            "GPUs": f"{base.urls['exporter']}/metrics",
        },
        notes=(
            *_notes(base.config, is_simulated=is_simulated),
            *guard_notes(base.config, base.state),
        ),
        compression=compression,
        ttft_objective_seconds=base.config.objective.ttft_seconds,
        fresh_seconds=max(10.0, 5 * scrape),
    )


def _notes(config: Config, *, is_simulated: bool) -> Sequence[str]:
    """Say what is simulated."""
    notes = []
    if is_simulated:
        notes.append("No GPU answers here: GPU figures are simulated from what the replicas do.")
    pace = config.replica.min_iteration_seconds
    if pace > 0:
        notes.append(
            f"Iterations are paced to {pace * 1000:.0f} ms to stand for a larger model "
            "(simulated speed)."
        )
    return notes
