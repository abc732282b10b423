"""Settings of tenancy: what is done where the key file does not say."""

from dataclasses import dataclass, fields

from inference.gateway.tenancy.caller import Caller, Quota


@dataclass(frozen=True, slots=True)
class TenancySettings:
    """How keys are read again, and how limits are kept; None is without bound."""

    refresh_seconds: float = 1.0  # between two looks at the key file
    burst_seconds: float = 60.0  # of its rate, that a key may use at once after a pause
    retry_seconds: float = 1.0  # when to come back if too many requests are in flight
    # Of all callers without a key together, where none is needed.
    anonymous_requests_per_minute: float | None = None
    anonymous_tokens_per_minute: float | None = None
    anonymous_concurrent: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(
                    f"tenancy setting {field.name} must be a number above 0, got {value}; "
                    f"its default is {field.default}"
                )

    @property
    def anonymous(self) -> Caller:
        """Everybody, where no key is needed."""
        return Caller(
            quota=Quota(
                self.anonymous_requests_per_minute,
                self.anonymous_tokens_per_minute,
                self.anonymous_concurrent,
            )
        )
