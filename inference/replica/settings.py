"""How one replica is to run."""

from dataclasses import dataclass, field
from pathlib import Path

from telemetry.lifecycle import ReplicaState


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How a replica's engine is to run."""

    slots: int = 8
    token_budget: int = 256
    max_waiting: int = 256
    min_iteration_seconds: float = 0.0
    threads: int = 1
    kv_memory_bytes: int = 2**30  # an upper bound: less where all slots need less


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """Everything that a replica's process is told when it starts."""

    id: str
    model_dir: Path
    model_name: str
    table: Path
    admin_key: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 0  # 0 takes any free one
    state: ReplicaState = ReplicaState.SERVING
    drain_seconds: float = 30.0
    engine: EngineSettings = field(default_factory=EngineSettings)

    def __post_init__(self) -> None:
        if not self.id or "/" in self.id or self.id.startswith("."):
            raise ValueError(f"expected an id that can name a file, got {self.id!r}")
        if not self.admin_key:
            raise ValueError("the admin key is empty")
        if not self.state.is_ready:
            raise ValueError(f"expected to start in serving or standby, got {self.state.value}")
