"""How one replica is to run."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from inference.models.precision import Lowering, Precision
from inference.models.repository import ModelConfig
from telemetry.lifecycle import ReplicaState

_MIB = 2**20
_ON_CPU, _AUTO = "onnx", "auto"  # names of runtimes
# What a model's configuration may say in the same words.
_AS_SAID = (
    "runtime", "lowering", "precision", "instances", "slots", "token_budget", "max_batch",
)  # fmt: skip


class DeviceKind(StrEnum):
    """What a replica computes on, as its record tells the gateway."""

    CPU = "cpu"
    GPU = "gpu"
    MIG = "mig"  # a slice of a GPU


class Batching(StrEnum):
    """When waiting requests may join the batch."""

    CONTINUOUS = "continuous"  # as soon as there is room
    STATIC = "static"  # together, once the batch before them has wholly ended
    DYNAMIC = "dynamic"  # as static, but they wait until the batch is full or time is up


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How a model's engines are to run."""

    slots: int = 8
    token_budget: int = 256  # raised to twice the slots where it is less
    max_waiting: int = 256
    min_iteration_seconds: float = 0.0
    threads: int = 1
    kv_memory_bytes: int = 2**30  # an upper bound: less where all slots need less
    runtime: str = "onnx"
    lowering: Lowering = Lowering.PAGED
    precision: Precision | None = None  # the runtime's own default
    block_size: int = 16
    device: int = 0
    cache: Path | None = None  # folder for compiled engines, where the runtime compiles any
    instances: int = 1
    policy: Batching = Batching.CONTINUOUS
    max_batch: int = 32  # of models that answer in one step
    max_queue_delay_seconds: float = 0.005  # for a batch to fill

    def for_model(self, config: ModelConfig) -> "EngineSettings":
        """Return the settings with what a model's own configuration says in their place."""
        said = {name: value for name in _AS_SAID if (value := getattr(config, name)) is not None}
        if config.kv_memory_mib is not None:
            said["kv_memory_bytes"] = config.kv_memory_mib * _MIB
        if config.max_queue_delay_ms is not None:
            said["max_queue_delay_seconds"] = config.max_queue_delay_ms / 1e3
        return replace(self, **said)


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """Everything that a replica's process is told when it starts."""

    id: str
    model_name: str  # in a repository: what the replica is announced as
    table: Path
    admin_key: str = field(repr=False)
    model_dir: Path | None = None  # either one model
    repository: Path | None = None  # or a folder of them
    load: tuple[str, ...] = ()  # of the repository, at the start; all that ask for it if none
    host: str = "127.0.0.1"
    port: int = 0  # 0 takes any free one
    state: ReplicaState = ReplicaState.SERVING
    drain_seconds: float = 30.0  # for what is in flight when draining
    notice_seconds: float = 0.5  # that newcomers are still refused, while gateways hear of it
    stall_seconds: float = 20.0  # without a step, with work to do, until it counts as hung
    vllm_names: bool = False  # serve /metrics/vllm
    region: str = ""
    version: str = ""  # of what it serves, in a rollout
    device_kind: DeviceKind | None = None  # by the runtime
    engine: EngineSettings = field(default_factory=EngineSettings)

    @property
    def device(self) -> str:
        """The kind of device, as far as it is known; `auto` chooses it only at the load."""
        if self.device_kind is not None:
            return self.device_kind.value
        if self.engine.runtime == _AUTO:
            return ""
        return (DeviceKind.CPU if self.engine.runtime == _ON_CPU else DeviceKind.GPU).value

    def __post_init__(self) -> None:
        if not self.id or "/" in self.id or self.id.startswith("."):
            raise ValueError(f"expected an id that can name a file, got {self.id!r}")
        if not self.admin_key:
            raise ValueError("the admin key is empty")
        if not self.state.is_ready:
            raise ValueError(f"expected to start in serving or standby, got {self.state.value}")
        if (self.model_dir is None) == (self.repository is None):
            raise ValueError("expected either a model's folder or a repository of models")
        if self.load and self.repository is None:
            raise ValueError("expected models to load only together with a repository")
        for name in ("drain_seconds", "notice_seconds", "stall_seconds"):
            if not getattr(self, name) >= 0:  # which NaN is not
                raise ValueError(f"expected {name} of 0 or more, got {getattr(self, name)}")
