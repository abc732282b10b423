"""The settings of coalescing: what may be shared, and how much memory that may take."""

from dataclasses import dataclass

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class CoalescingSettings:
    """How equal requests share one answer; without `enabled` nothing is shared or kept."""

    enabled: bool = True
    flight_bytes: int = 4 * _MIB  # of a stream's events kept for others; longer ones nobody joins
    cache_seconds: float = 0.0  # for which an answer is given again; 0 keeps none
    cache_bytes: int = 64 * _MIB  # of all kept answers

    def __post_init__(self) -> None:
        if self.flight_bytes <= 0:
            raise ValueError(
                f"coalescing flight_bytes must be above 0, got {self.flight_bytes}; to share "
                "nothing, set enabled = false"
            )
        if not self.cache_seconds >= 0:
            raise ValueError(
                f"coalescing cache_seconds must not be below 0, got {self.cache_seconds}; "
                "0 keeps no answers"
            )
        if self.cache_bytes <= 0:
            raise ValueError(
                f"coalescing cache_bytes must be above 0, got {self.cache_bytes}; to keep no "
                "answers, set cache_seconds = 0"
            )
