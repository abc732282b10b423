"""Rate limits: how much each key may still ask for, in token buckets; `now` is monotonic."""

import math
from dataclasses import dataclass, field

from inference.gateway.errors import RateLimitedError
from inference.gateway.tenancy.caller import Caller, Quota
from inference.gateway.tenancy.settings import TenancySettings

_MINUTE = 60.0
_ROUNDING = 1e-9  # who waited as long as was said must not be refused for the last bit
_MANY = 10_000  # callers; beyond, those that have all their allowance are forgotten


@dataclass(slots=True)
class Bucket:
    """An allowance that refills steadily up to a bound; below nothing, it is a debt."""

    rate: float  # per second
    capacity: float
    level: float
    at: float

    @classmethod
    def full(cls, per_minute: float, *, burst_seconds: float, now: float) -> "Bucket":
        """Return an untouched bucket; it always holds one, for else nothing ever went."""
        rate = per_minute / _MINUTE
        capacity = max(rate * burst_seconds, 1.0)
        return cls(rate, capacity, capacity, now)

    def left(self, now: float) -> float:
        """Return what may be taken now."""
        return min(self.capacity, self.level + self.rate * max(now - self.at, 0.0))

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until so much may be taken, 0 if it may be now."""
        missing = min(amount, self.capacity) - self.left(now)
        return 0.0 if missing <= _ROUNDING * self.capacity else missing / self.rate

    def take(self, amount: float, now: float) -> None:
        """Take so much, or with a negative amount give it back."""
        self.level = min(self.left(now) - amount, self.capacity)
        self.at = max(now, self.at)

    def until_full(self, now: float) -> float:
        """Return the seconds until nothing is missing."""
        return (self.capacity - self.left(now)) / self.rate


@dataclass(slots=True)
class _Account:
    """What one key has left."""

    quota: Quota
    requests: Bucket | None
    tokens: Bucket | None
    in_flight: int = 0

    def is_untouched(self, now: float) -> bool:
        buckets = (self.requests, self.tokens)
        return not self.in_flight and all(
            one is None or not one.until_full(now) for one in buckets
        )


@dataclass(slots=True)
class Grant:
    """A request that was let in: to be settled once it has ended, however it did."""

    account: _Account | None = field(default=None, repr=False)
    charged: float = 0.0  # tokens

    def settle(self, tokens: float | None, *, now: float) -> None:
        """Charge the tokens that it really took; None where nobody knows, 0 where none.

        Settling again does nothing.
        """
        account, self.account = self.account, None
        if account is None:
            return
        account.in_flight -= 1
        if account.tokens is not None and tokens is not None:
            account.tokens.take(tokens - self.charged, now)


class RateLimits:
    """Keeps each key within its quota; who has none costs nothing."""

    def __init__(self, settings: TenancySettings | None = None) -> None:
        self._settings = settings or TenancySettings()
        self._accounts: dict[str, _Account] = {}
        self._many = _MANY

    def admit(self, caller: Caller, *, tokens: float, now: float) -> Grant:
        """Let a request in that is expected to take so many tokens, or raise RateLimitedError.

        A request that is larger than the whole bucket takes all of it; the rest is charged
        when it is settled, and then the next one waits for longer.
        """
        if caller.quota.is_unbounded:
            return Grant()
        account = self._account(caller, now)
        self._check(account, tokens, now)
        charged = 0.0
        if account.requests is not None:
            account.requests.take(1, now)
        if account.tokens is not None:
            charged = min(tokens, account.tokens.capacity)
            account.tokens.take(charged, now)
        account.in_flight += 1
        return Grant(account, charged)

    def headers(self, caller: Caller, *, now: float) -> dict[str, str]:
        """Return what an answer says of the caller's limits, under OpenAI's names."""
        if caller.quota.is_unbounded:
            return {}
        account = self._account(caller, now)
        return _described("requests", account.quota.requests_per_minute, account.requests, now) | (
            _described("tokens", account.quota.tokens_per_minute, account.tokens, now)
        )

    def _account(self, caller: Caller, now: float) -> _Account:
        name = caller.key or caller.tenant
        account = self._accounts.get(name)
        if account is None:
            self._forget_untouched(now)
            account = self._accounts[name] = _Account(caller.quota, None, None)
            self._fit(account, caller.quota, now)
        elif account.quota != caller.quota:
            self._fit(account, caller.quota, now)
        return account

    def _fit(self, account: _Account, quota: Quota, now: float) -> None:
        """Give an account a quota; what is in flight stays, and what was used as well."""
        account.quota = quota
        account.requests = self._bucket(account.requests, quota.requests_per_minute, now)
        account.tokens = self._bucket(account.tokens, quota.tokens_per_minute, now)

    def _bucket(
        self, before: Bucket | None, per_minute: float | None, now: float
    ) -> Bucket | None:
        if per_minute is None:
            return None
        bucket = Bucket.full(per_minute, burst_seconds=self._settings.burst_seconds, now=now)
        if before is not None:
            bucket.take(before.capacity - before.left(now), now)
        return bucket

    def _check(self, account: _Account, tokens: float, now: float) -> None:
        quota = account.quota
        if quota.concurrent is not None and account.in_flight >= quota.concurrent:
            raise RateLimitedError(
                f"This API key may have {quota.concurrent} requests in flight at once, and has; "
                "wait for one to end.",
                retry_after=self._settings.retry_seconds,
            )
        if account.requests is not None:
            _refuse("requests", quota.requests_per_minute, account.requests.wait(1, now))
        if account.tokens is not None:
            _refuse("tokens", quota.tokens_per_minute, account.tokens.wait(tokens, now))

    def _forget_untouched(self, now: float) -> None:
        if len(self._accounts) >= self._many:
            kept = {n: one for n, one in self._accounts.items() if not one.is_untouched(now)}
            self._accounts = kept
            self._many = max(_MANY, 2 * len(kept))


def _refuse(what: str, limit: float | None, wait: float) -> None:
    if wait > 0:
        raise RateLimitedError(
            f"This API key may use {limit:g} {what} per minute, and has; "
            f"try again in {_duration(wait)}.",
            retry_after=wait,
        )


def _described(
    what: str, per_minute: float | None, bucket: Bucket | None, now: float
) -> dict[str, str]:
    if bucket is None or per_minute is None:
        return {}
    return {
        f"x-ratelimit-limit-{what}": f"{math.ceil(per_minute)}",
        f"x-ratelimit-remaining-{what}": f"{max(math.floor(bucket.left(now) + _ROUNDING), 0)}",
        f"x-ratelimit-reset-{what}": _duration(bucket.until_full(now)),
    }


def _duration(seconds: float) -> str:
    """Word a duration as OpenAI does: 20ms, 8.64s, 6m0s, 1h0m0s."""
    milliseconds = math.ceil(seconds * 1000 - _ROUNDING)
    if milliseconds < 1000:  # noqa: PLR2004 - of a second
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    worded = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{worded}"
    return f"{minutes}m{worded}" if minutes else worded
