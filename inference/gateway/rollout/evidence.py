"""The evidence of a rollout: what each version did with its requests and with the probes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.gateway.rollout.latencies import Latencies, bin_of


@dataclass(frozen=True, slots=True)
class VersionEvidence:
    """What became of the requests that one version was given."""

    requests: int = 0
    failures: int = 0
    ttft: Latencies = field(default_factory=Latencies)

    @property
    def failed_share(self) -> float | None:
        """Share of requests that failed; None where there were none."""
        return self.failures / self.requests if self.requests else None

    def plus(self, other: "VersionEvidence") -> "VersionEvidence":
        """Return both together."""
        return VersionEvidence(
            self.requests + other.requests,
            self.failures + other.failures,
            self.ttft.plus(other.ttft),
        )


@dataclass(frozen=True, slots=True)
class ProbeRound:
    """Whether each version passed each probe, asked about the same time; None: no answer."""

    stable: tuple[bool | None, ...]
    canary: tuple[bool | None, ...]

    @property
    def qualities(self) -> tuple[float, float] | None:
        """Shares passed by stable and canary, of the probes that both have answered."""
        both = [
            (old, new)
            for old, new in zip(self.stable, self.canary, strict=True)
            if old is not None and new is not None
        ]
        if not both:
            return None
        return sum(old for old, _ in both) / len(both), sum(new for _, new in both) / len(both)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both versions side by side; stable's is of the step that is under way and the one before.

    At the last step stable may get nothing more, and is still what the canary is held against.
    """

    stable: VersionEvidence = field(default_factory=VersionEvidence)
    canary: VersionEvidence = field(default_factory=VersionEvidence)
    rounds: Sequence[ProbeRound] = ()  # of probes in this step, the newest last


@dataclass(slots=True)
class Tally:
    """Counts the requests of one version as they end."""

    requests: int = 0
    failures: int = 0
    ttft: Counter[int] = field(default_factory=Counter)

    def count(self, *, ttft: float | None, failed: bool) -> None:
        """Count one request; `ttft` in seconds, None where there was no token."""
        self.requests += 1
        self.failures += failed
        if ttft is not None:
            self.ttft[bin_of(ttft)] += 1

    def evidence(self) -> VersionEvidence:
        """Return the counts as they stand."""
        return VersionEvidence(self.requests, self.failures, Latencies(dict(self.ttft)))

    @classmethod
    def of(cls, evidence: VersionEvidence) -> "Tally":
        """Count on from what was counted before."""
        return cls(evidence.requests, evidence.failures, Counter(evidence.ttft.counts))
