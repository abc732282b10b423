"""What making a model smaller gained and cost, and whether that is allowed."""

from dataclasses import asdict, dataclass, field
from typing import Any

from inference.compression.errors import QualityLossError
from inference.compression.quality import Quality


@dataclass(frozen=True, slots=True)
class Report:
    """A model before and after, judged on the same text."""

    method: str
    before: Quality
    after: Quality
    judged_tokens: int
    vocabulary: int
    facts: dict[str, Any] = field(default_factory=dict)  # of this method

    @property
    def size_ratio(self) -> float:
        """Size after over size before."""
        return self.after.size_bytes / self.before.size_bytes

    @property
    def speed_ratio(self) -> float | None:
        """Tokens per second after over before; None where one means nothing."""
        before, after = self.before.tokens_per_second, self.after.tokens_per_second
        return None if before is None or after is None else after / before

    @property
    def loss(self) -> float:
        """How much perplexity rose, as a share of what it was; below 0 it fell."""
        return self.after.perplexity / self.before.perplexity - 1

    @property
    def is_text_foreign(self) -> bool:
        """Whether even guessing among all tokens would beat the model: then nothing is shown."""
        return self.before.perplexity > self.vocabulary

    def require(self, *, max_loss: float) -> None:
        """Raise QualityLossError where perplexity rose by more than the share `max_loss`."""
        if not self.loss <= max_loss:  # not-a-number is refused, too
            raise QualityLossError(
                f"{self.method}: perplexity goes from {self.before.perplexity:.3f} to "
                f"{self.after.perplexity:.3f} ({self.loss:+.1%}), and {max_loss:.1%} more is "
                "allowed: nothing was written. Allow more with --max-loss, or ask for less"
            )

    def as_json(self) -> dict[str, Any]:
        """Return every number, for a file beside the model."""
        ratios = {"size": self.size_ratio, "speed": self.speed_ratio, "loss": self.loss}
        return {**asdict(self), "ratios": ratios}
