"""The whole loop on one machine, as one story: claim, listen, wire, run, drain."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from autoscaler.ledger import LedgerError
from dashboards.console.console import Console
from inference.gateway.server import serve
from telemetry.clock import Clock
from telemetry.lifecycle import ReplicaState
from telemetry.logs import configure_logs
from telemetry.process_table import ProcessTable
from telemetry.store import Store, StoreError
from warmfront.config import Config
from warmfront.errors import StackError
from warmfront.gateway import check_guarded, tls_of
from warmfront.listening import listen, serving_pages, url_of
from warmfront.state_dir import StateDir, claimed, prepare
from warmfront.wiring import Parts, open_base, wire

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stack:
    """A running loop, as seen from outside."""

    gateway_url: str
    console_url: str
    exporter_url: str
    console: Console
    store: Store
    table: ProcessTable
    clock: Clock

    async def wait_serving(self, *, deadline_seconds: float) -> None:
        """Wait until a replica serves; raise StackError if none does in time."""
        give_up = self.clock.monotonic() + deadline_seconds
        while self.clock.monotonic() < give_up:
            records = await asyncio.to_thread(self.table.records)
            if any(record.state is ReplicaState.SERVING for record in records):
                return
            await asyncio.sleep(0.05)
        raise StackError(
            f"no replica served within {deadline_seconds:g} s; the logs beside the state folder's "
            "metrics say why"
        )


@asynccontextmanager
async def running(
    config: Config, *, clock: Clock, compression: float = 1.0
) -> AsyncIterator[Stack]:
    """Run gateway, exporter, console, forecaster, detector and autoscaler while entered."""
    state = prepare(config.state_dir)
    async with AsyncExitStack() as held:
        held.enter_context(claimed(state))
        _log_to(state, config, held)
        check_guarded(config, state)
        tls = tls_of(config)
        listeners = {
            name: held.enter_context(listen(config.addresses.host, port, name=name))
            for name, port in _ports(config).items()
        }
        urls = {name: url_of(listener) for name, listener in listeners.items()}
        if tls is not None:
            urls["gateway"] = urls["gateway"].replace("http:", "https:", 1)
        parts = _wired(config, state, urls, clock, compression)
        held.push_async_callback(_close, parts)
        for name, pages in (("exporter", parts.exporter), ("console", parts.console_app)):
            await held.enter_async_context(serving_pages(pages, listeners[name]))
        drain = config.replica.drain_seconds
        await held.enter_async_context(
            serve(
                parts.gateway,
                listeners["gateway"],
                drain_seconds=drain,
                delay_seconds=config.gateway.drain_delay_seconds,
                tls=tls,
            )
        )
        async with _loops(parts, config, clock):
            yield Stack(
                urls["gateway"], urls["console"], urls["exporter"],
                parts.console, parts.base.store, parts.base.table, clock,
            )  # fmt: skip


def _wired(
    config: Config, state: StateDir, urls: Mapping[str, str], clock: Clock, compression: float
) -> Parts:
    """Build the parts; what cannot be opened is said in a message for people."""
    try:
        return wire(open_base(config, state, urls, clock), compression=compression)
    except (StoreError, LedgerError) as error:
        raise StackError(
            f"{error}; move the file away to begin anew, or choose another --state-dir"
        ) from error


def _ports(config: Config) -> dict[str, int]:
    own = config.addresses
    return {"gateway": own.gateway, "console": own.console, "exporter": own.exporter}


def _log_to(state: StateDir, config: Config, held: AsyncExitStack) -> None:
    """Send this process's log to a file in the state folder, as JSON lines."""
    stream = held.enter_context((state.logs / "warmfront.log").open("a", buffering=1))
    held.callback(configure_logs, stream=sys.stderr)  # whatever comes later goes to the terminal
    configure_logs(stream=stream, level=config.telemetry.log_level.upper())


@asynccontextmanager
async def _loops(parts: Parts, config: Config, clock: Clock) -> AsyncIterator[None]:
    """Run every loop of the daemon while entered."""
    step = config.forecast.step_seconds
    settle = config.telemetry.scrape_seconds  # until the store knows the step that has ended
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(parts.scraper.run()),
            group.create_task(parts.collector.run()),
            group.create_task(_each_step(parts.forecasts.refresh, step, settle, clock)),
            group.create_task(_each_step(parts.anomalies.refresh, step, settle, clock)),
            group.create_task(parts.autoscaler.run()),
        ]
        _log.info("running")
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _each_step(
    refresh: Callable[[], Awaitable[None]], step: float, settle: float, clock: Clock
) -> None:
    """Refresh once each step has ended and its last samples are in the store."""
    while True:
        await refresh()
        now = clock.now() - settle
        await asyncio.sleep((now // step + 1) * step - now)


async def _close(parts: Parts) -> None:
    """Drain the replicas, then release what is held."""
    _log.info("draining")
    await parts.target.close(drain=True)
    await parts.client.close()
    parts.ledger.close()
    parts.base.tracing.close()
    parts.base.store.close()
    _log.info("stopped")
