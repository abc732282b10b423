"""Configuration: one TOML file, checked whole at start-up, with defaults that run on a laptop."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from inference.models.precision import Lowering, Precision
from warmfront.errors import ConfigError

Port = Annotated[int, Field(ge=0, le=65535)]  # 0 asks the system for a free one
Seconds = Annotated[float, Field(gt=0)]
BUNDLED_MODEL = "warmfront-tiny"
_DAY_SECONDS = 86_400.0
_PART_OF_A_STEP = 1e-6  # less is what rounding leaves


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Addresses(_Section):
    """Where Warmfront listens."""

    host: str = "127.0.0.1"
    gateway: Port = 8000
    console: Port = 8001
    exporter: Port = 9400


class ModelSettings(_Section):
    """Which model the tier serves; without a folder, the bundled one."""

    name: str = Field(default=BUNDLED_MODEL, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,95}$")
    folder: Path | None = None


class ReplicaSettings(_Section):
    """How one replica runs."""

    slots: int = Field(default=8, ge=1, le=256)
    token_budget: int = Field(default=256, ge=2)  # tokens of one iteration
    runtime: str = Field(default="onnx", min_length=1)
    lowering: Lowering = Lowering.PAGED
    precision: Precision | None = None  # the runtime's own: INT8 on the CPU
    policy: Literal["continuous", "static", "dynamic"] = "continuous"
    threads: int = Field(default=1, ge=1, le=256)
    kv_memory_mib: int = Field(default=1024, ge=1)
    min_iteration_seconds: float = Field(default=0.0, ge=0, le=10)
    drain_seconds: Seconds = 30.0
    start_timeout_seconds: Seconds = 120.0


class AutoscalerSettings(_Section):
    """The bounds and the temper of the autoscaler."""

    mode: Literal["predictive", "reactive"] = "predictive"
    minimum: int = Field(default=1, ge=0)
    maximum: int = Field(default=4, ge=1)
    standby: int = Field(default=0, ge=0)
    quantile: float = Field(default=0.95, gt=0, lt=1)
    utilisation: float = Field(default=0.8, gt=0, le=1)
    hold_seconds: float = Field(default=120.0, ge=0)
    tick_seconds: Seconds = 1.0
    demand_window_seconds: Seconds = 10.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum ({self.minimum}) is above maximum ({self.maximum})")
        return self


class ForecastSettings(_Section):
    """The grid that demand is forecast on, from how much history, and what is known ahead."""

    step_seconds: Seconds = 10.0
    season_seconds: Seconds = _DAY_SECONDS
    history_seasons: int = Field(default=14, ge=1, le=60)  # demand is kept for these, and one more
    horizon_steps: int = Field(default=30, ge=1, le=1_000)
    members: tuple[str, ...] | None = Field(default=None, min_length=1)  # all that are quick
    calendar: Path | None = None  # file of holidays, launches and sales
    timezone: str = "UTC"  # in which demand has its days, as the IANA names it

    @model_validator(mode="after")
    def _whole_steps(self) -> Self:
        if self.season_seconds < 2 * self.step_seconds:
            raise ValueError(
                f"season_seconds ({self.season_seconds:g}) must hold at least two steps "
                f"of step_seconds ({self.step_seconds:g})"
            )
        if abs(self.season_seconds / self.step_seconds - self.season_steps) > _PART_OF_A_STEP:
            raise ValueError(
                f"season_seconds ({self.season_seconds:g}) must be a whole number of steps "
                f"of step_seconds ({self.step_seconds:g})"
            )
        has_days = self.calendar is not None or self.timezone != "UTC"
        if has_days and self.season_seconds != _DAY_SECONDS:
            raise ValueError(
                f"a calendar and a timezone are of days: they need season_seconds = "
                f"{_DAY_SECONDS:g}, got {self.season_seconds:g}"
            )
        return self

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("expected the name of a time zone, such as Europe/Berlin") from error
        return name

    @property
    def season_steps(self) -> int:
        """Steps in one season."""
        return round(self.season_seconds / self.step_seconds)


class ObjectiveSettings(_Section):
    """What a good answer is."""

    ttft_seconds: Seconds = 1.0
    tpot_seconds: Seconds = 0.2


class RegionSettings(_Section):
    """How far another region is from this gateway."""

    latency_ms: float = Field(default=0.0, ge=0)
    cost: float = Field(default=0.0, ge=0)


class GatewaySettings(_Section):
    """Who may ask, how long requests may wait, and how they are answered."""

    hold_seconds: Seconds = 30.0  # while no replica serves
    max_held: int = Field(default=1024, ge=0)  # requests in line, per model
    admission: bool = True  # turn away what would wait for too long
    coalesce: bool = True  # answer equal requests in flight once
    cache_seconds: float = Field(default=0.0, ge=0)  # for which answers are kept; 0 keeps none
    hedge: bool = False  # ask a second replica where the first byte is late
    keepalive_seconds: Seconds = 10.0
    drain_delay_seconds: float = Field(default=0.0, ge=0)  # between not ready and closed
    keys: Path | None = None  # file of API keys; without one, keys.json in the state folder
    allow_anonymous: bool = False  # listen on other than loopback though there are no keys
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    region: str = ""
    regions: dict[str, RegionSettings] = {}
    vllm_names: bool = False  # show metrics under vLLM's names too, at /metrics/vllm

    @model_validator(mode="after")
    def _whole_pair(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are only possible together")
        return self


class TelemetrySettings(_Section):
    """What is kept, for how long, and where traces go."""

    scrape_seconds: Seconds = 1.0
    retention_hours: Seconds = 24.0 * 8
    otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/]+")
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Config(_Section):
    """Everything that can be set, by section."""

    state_dir: Path = Path(".warmfront")
    addresses: Addresses = Addresses()
    model: ModelSettings = ModelSettings()
    replica: ReplicaSettings = ReplicaSettings()
    gateway: GatewaySettings = GatewaySettings()
    autoscaler: AutoscalerSettings = AutoscalerSettings()
    forecast: ForecastSettings = ForecastSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    def replaced(self, where: str, /, **sections: dict[str, Any]) -> "Config":
        """Return a copy with some settings replaced, and all checked; `where` names their source.

        Each section is named with its new settings: `autoscaler={"maximum": 7}`.
        """
        raw = self.model_dump()
        for section, values in sections.items():
            raw[section] = {**raw[section], **values}
        return check_config(raw, where=where)


def load_config(path: Path | None) -> Config:
    """Read the configuration file, or the defaults where there is none; raise ConfigError."""
    if path is None:
        return Config()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    return check_config(raw, where=str(path))


def check_config(raw: dict[str, Any], *, where: str) -> Config:
    """Check raw settings; raise ConfigError naming each wrong one and where it stands."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        problems = "\n".join(_problem(one) for one in error.errors())
        raise ConfigError(f"{where} cannot be used:\n{problems}") from error


def _problem(error: Any) -> str:
    """Say one validation error as a line for people."""
    place = ".".join(str(part) for part in error["loc"]) or "file"
    if error["type"] == "extra_forbidden":
        return f"  {place}: there is no such setting ({_known(error['loc'])})"
    message = error["msg"].removeprefix("Value error, ")
    return f"  {place}: {message} (got {error['input']!r})"


def _known(place: tuple[str | int, ...]) -> str:
    """Name the settings that do exist beside a mistyped one."""
    section: Any = Config
    for part in place[:-1]:
        section = section.model_fields[str(part)].annotation
    return "known here: " + ", ".join(section.model_fields)
