"""What one request wants of a replica: all that routing and admission go by."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Want:
    """The needs of one request; token counts are estimates until it is answered."""

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    choices: int = 1  # slots that it takes in a batch
    has_images: bool = False
    prefix: tuple[int, ...] = ()  # hashes of ever longer beginnings of the prompt
    session: str | None = None  # tenant and conversation, where the client names one
    version: str | None = None  # of the model, where a rollout has chosen; None takes any
    avoid: frozenset[str] = frozenset()  # replicas that have failed this request

    @property
    def tokens(self) -> int:
        """Tokens of context that it needs."""
        return self.input_tokens + self.output_tokens

    def of_any_version(self) -> "Want":
        """Return the same want of a replica of whatever version."""
        return replace(self, version=None)

    def avoiding(self, replica: str) -> "Want":
        """Return the same want of any other replica."""
        return replace(self, avoid=self.avoid | {replica})
