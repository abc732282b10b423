"""How a replica process is started: the line that joins autoscaler and serving tier."""

import sys
from collections.abc import Callable
from pathlib import Path

import inference.models.bundled
from telemetry.lifecycle import ReplicaState
from warmfront.config import Config
from warmfront.errors import ConfigError
from warmfront.state_dir import StateDir

BUNDLED_FOLDER = Path(inference.models.bundled.__file__).parent


def replica_command(config: Config, state: StateDir) -> Callable[[str, ReplicaState], list[str]]:
    """Return what starts a replica of a given id into a given state; check what it needs."""
    folder = config.model.folder or BUNDLED_FOLDER
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"model.folder: {folder} holds no config.json; expected a folder in Hugging Face's "
            "format (config.json, model.safetensors, tokenizer.json, tokenizer_config.json)"
        )
    settings: dict[str, object] = {
        "--model-dir": folder,
        "--model-name": config.model.name,
        "--table": state.replicas,
        "--admin-key-file": state.admin_key,
        "--host": "127.0.0.1",
        "--port": 0,
        "--slots": config.replica.slots,
        "--token-budget": config.replica.token_budget,
        "--runtime": config.replica.runtime,
        "--lowering": config.replica.lowering,
        "--policy": config.replica.policy,
        "--threads": config.replica.threads,
        "--kv-memory-mib": config.replica.kv_memory_mib,
        "--min-iteration-seconds": config.replica.min_iteration_seconds,
        "--drain-seconds": config.replica.drain_seconds,
    }
    if config.replica.precision is not None:
        settings["--precision"] = config.replica.precision
    if config.gateway.region:
        settings["--region"] = config.gateway.region
    if config.telemetry.otlp_endpoint is not None:
        settings["--otlp-endpoint"] = config.telemetry.otlp_endpoint
    fixed = [str(part) for pair in settings.items() for part in pair]
    if config.gateway.vllm_names:
        fixed.append("--vllm-names")

    def command(replica: str, into: ReplicaState) -> list[str]:
        own = ["--id", replica, "--state", into.value]
        return [sys.executable, "-m", "inference.replica", *own, *fixed]

    return command
