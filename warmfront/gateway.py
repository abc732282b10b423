"""The gateway of one machine: its settings, its keys and its certificate, from the one file."""

from collections.abc import Sequence
from ssl import SSLContext

from aiohttp import web

from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.api import Surroundings, build_gateway
from inference.gateway.coalescing.settings import CoalescingSettings
from inference.gateway.limits import GatewayLimits
from inference.gateway.objectives import Objective, Objectives
from inference.gateway.rollout.settings import RolloutSettings
from inference.gateway.routing.hedging import HedgeSettings
from inference.gateway.routing.region import Region
from inference.gateway.routing.settings import RoutingSettings
from inference.gateway.settings import GatewaySettings
from inference.gateway.tenancy.key_file import KeyFile, KeyFileError
from inference.gateway.tls import TlsError, tls_context
from telemetry.clock import Clock
from telemetry.process_table import ProcessTable
from telemetry.publish import Metrics
from telemetry.tracing import Tracing
from warmfront.config import Config
from warmfront.errors import StackError
from warmfront.state_dir import StateDir

_BATCH_OBJECTIVES = 60  # nobody waits for a batch


def gateway_of(
    config: Config,
    state: StateDir,
    *,
    table: ProcessTable,
    metrics: Metrics,
    tracing: Tracing,
    clock: Clock,
) -> web.Application:
    """Build the gateway; StackError where its keys cannot be read."""
    given = Surroundings(
        table,
        metrics,
        tracing,
        clock,
        key_file=config.gateway.keys or state.keys,
        admin_key=state.admin_key.read_text().strip(),
    )
    try:
        return build_gateway(
            given, models=[config.model.name], settings=settings_of(config, state)
        )
    except KeyFileError as error:
        raise StackError(f"the API keys cannot be used: {error}") from error


def settings_of(config: Config, state: StateDir) -> GatewaySettings:
    """Return the gateway's settings as the file has them."""
    own, objective = config.gateway, config.objective
    urgent = Objective(objective.ttft_seconds, objective.tpot_seconds)
    patient = Objective(
        _BATCH_OBJECTIVES * objective.ttft_seconds, _BATCH_OBJECTIVES * objective.tpot_seconds
    )
    return GatewaySettings(
        limits=GatewayLimits(keepalive_seconds=own.keepalive_seconds),
        admission=AdmissionSettings(
            is_on=own.admission,
            ttft_objective_seconds=objective.ttft_seconds,
            max_waiting=own.max_held,
            hold_seconds=own.hold_seconds,
        ),
        routing=RoutingSettings(
            region=own.region,
            regions={
                name: Region(latency_seconds=one.latency_ms / 1000, cost=one.cost)
                for name, one in own.regions.items()
            },
            hedge=HedgeSettings(is_on=own.hedge),
        ),
        coalescing=CoalescingSettings(enabled=own.coalesce, cache_seconds=own.cache_seconds),
        rollout=RolloutSettings(path=state.root / "rollouts.json"),
        objectives=Objectives(interactive=urgent, standard=urgent, batch=patient),
        has_vllm_names=own.vllm_names,
    )


def tls_of(config: Config) -> SSLContext | None:
    """Return what the gateway serves TLS with, where the settings have it do so."""
    certificate, key = config.gateway.tls_certificate, config.gateway.tls_key
    if certificate is None or key is None:
        return None
    try:
        return tls_context(certificate, key)
    except TlsError as error:
        raise StackError(f"the gateway cannot serve TLS: {error}") from error


def check_guarded(config: Config, state: StateDir) -> None:
    """Raise StackError where others could ask the models without a key, and nobody meant that."""
    if is_loopback(config.addresses.host) or config.gateway.allow_anonymous:
        return
    if not has_keys(config, state):
        raise StackError(
            f"{config.addresses.host} can be reached by others and there are no API keys; make "
            "one with `warmfront keys create NAME`, or let everybody in with "
            "[gateway] allow_anonymous = true"
        )


def guard_notes(config: Config, state: StateDir) -> Sequence[str]:
    """Say what is open to others."""
    if is_loopback(config.addresses.host):
        return []
    asks = "needs an API key for the models" if has_keys(config, state) else "can ask the models"
    return [
        f"Listening on {config.addresses.host}: whoever reaches it {asks}, and can read this page."
    ]


def has_keys(config: Config, state: StateDir) -> bool:
    """Tell whether callers need a key."""
    try:
        return bool(KeyFile(config.gateway.keys or state.keys).read())
    except (KeyFileError, OSError) as error:
        raise StackError(f"the API keys cannot be used: {error}") from error


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    return host in {"localhost", "::1"} or host.startswith("127.")
