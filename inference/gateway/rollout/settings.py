"""Settings of rollouts: what holds for all of them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """How rollouts are run; what one of them asks for is in its plan."""

    path: Path | None = None  # file that keeps rollouts over restarts; None keeps them in memory
    tick_seconds: float = 1.0  # between two looks at each rollout
    save_seconds: float = 5.0  # evidence younger than this may be lost with the process
    probe_seconds: float = 10.0  # between two rounds of probes
    probe_deadline_seconds: float = 30.0  # for one answer
    session_ttl_seconds: float = 1800.0  # silent for longer, a session begins anew
    most_sessions: int = 65_536  # remembered at once, about 300 bytes each

    def __post_init__(self) -> None:
        for name in (
            "tick_seconds", "save_seconds", "probe_seconds", "probe_deadline_seconds",
            "session_ttl_seconds",
        ):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ValueError(f"rollouts: {name} is above 0, got {getattr(self, name)}")
        if self.most_sessions < 1:
            raise ValueError(f"rollouts: most_sessions is 1 or more, got {self.most_sessions}")
