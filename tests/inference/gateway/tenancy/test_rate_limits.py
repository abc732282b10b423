import dataclasses
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.errors import RateLimitedError
from inference.gateway.tenancy.caller import Caller, Quota
from inference.gateway.tenancy.rate_limits import RateLimits
from inference.gateway.tenancy.settings import TenancySettings

AMOUNTS = st.floats(0, 5000)
GAPS = st.floats(0, 30)


def caller(key="k", **quota):
    return Caller("team", quota=Quota(**quota), key=key)


def refusal(limits, one, *, tokens=1, now=0.0):
    with pytest.raises(RateLimitedError) as caught:
        limits.admit(one, tokens=tokens, now=now)
    return caught.value


def is_admitted(limits, one, *, tokens=1, now=0.0):
    try:
        return limits.admit(one, tokens=tokens, now=now)
    except RateLimitedError:
        return None


def test_without_a_quota_nothing_is_kept_and_nothing_is_said():
    limits = RateLimits()
    for _ in range(3):
        limits.admit(Caller(), tokens=10**9, now=0.0).settle(10**9, now=1.0)

    assert limits.headers(Caller(), now=0.0) == {}
    assert not limits._accounts


def test_requests_per_minute():
    limits, one = RateLimits(), caller(requests_per_minute=2)
    for _ in range(2):
        limits.admit(one, tokens=1, now=0.0)

    error = refusal(limits, one)
    assert error.retry_after == pytest.approx(30)
    assert "2 requests per minute" in str(error)
    assert "in 30s" in str(error)
    assert not is_admitted(limits, one, now=29.9)
    assert is_admitted(limits, one, now=30.0)


def test_tokens_per_minute_are_charged_when_a_request_comes_and_put_right_when_it_ends():
    limits, one = RateLimits(), caller(tokens_per_minute=60)
    grant = limits.admit(one, tokens=50, now=0.0)
    assert refusal(limits, one, tokens=20).retry_after == pytest.approx(10)

    grant.settle(30, now=0.0)
    assert is_admitted(limits, one, tokens=20)


def test_a_request_that_took_more_than_was_thought_makes_the_next_one_wait():
    limits, one = RateLimits(), caller(tokens_per_minute=60)
    limits.admit(one, tokens=10, now=0.0).settle(100, now=0.0)

    assert refusal(limits, one, tokens=1).retry_after == pytest.approx(41)
    assert is_admitted(limits, one, tokens=1, now=41.0)


def test_a_request_that_nobody_counted_keeps_its_charge():
    limits, one = RateLimits(), caller(tokens_per_minute=60)
    limits.admit(one, tokens=60, now=0.0).settle(None, now=0.0)
    assert not is_admitted(limits, one, tokens=60)


def test_a_request_larger_than_the_bucket_waits_for_all_of_it():
    limits, one = RateLimits(), caller(tokens_per_minute=60)
    limits.admit(one, tokens=1, now=0.0)
    assert refusal(limits, one, tokens=1000).retry_after == pytest.approx(1)

    assert is_admitted(limits, one, tokens=1000, now=1.0)


def test_requests_in_flight():
    limits, one = RateLimits(TenancySettings(retry_seconds=0.5)), caller(concurrent=1)
    grant = limits.admit(one, tokens=1, now=0.0)
    assert refusal(limits, one).retry_after == 0.5

    grant.settle(None, now=0.0)
    grant.settle(None, now=0.0)  # which changes nothing
    assert is_admitted(limits, one)
    assert not is_admitted(limits, one)


def test_a_refused_request_costs_nothing():
    limits, one = RateLimits(), caller(requests_per_minute=60, tokens_per_minute=60)
    limits.admit(one, tokens=60, now=0.0)
    for _ in range(100):
        assert not is_admitted(limits, one, tokens=1)

    assert limits.headers(one, now=0.0)["x-ratelimit-remaining-requests"] == "59"


def test_keys_do_not_share_a_quota_though_their_tenant_is_one():
    limits = RateLimits()
    limits.admit(caller("a", requests_per_minute=1), tokens=1, now=0.0)
    assert not is_admitted(limits, caller("a", requests_per_minute=1))
    assert is_admitted(limits, caller("b", requests_per_minute=1))


def test_callers_without_a_key_share_the_one_of_the_anonymous():
    limits, one = RateLimits(), TenancySettings(anonymous_requests_per_minute=1).anonymous
    limits.admit(one, tokens=1, now=0.0)
    assert not is_admitted(limits, dataclasses.replace(one))


def test_a_quota_that_changes_forgets_neither_what_was_used_nor_what_is_in_flight():
    limits = RateLimits()
    grant = limits.admit(caller(tokens_per_minute=60, concurrent=1), tokens=50, now=0.0)
    more = caller(tokens_per_minute=120, concurrent=1)
    assert limits.headers(more, now=0.0)["x-ratelimit-remaining-tokens"] == "70"
    assert not is_admitted(limits, more)

    grant.settle(50, now=0.0)
    assert is_admitted(limits, more, tokens=70)


def test_a_rate_below_one_a_minute_still_lets_one_in():
    limits, one = RateLimits(), caller(requests_per_minute=0.5)
    assert is_admitted(limits, one)
    assert refusal(limits, one).retry_after == pytest.approx(120)


def test_the_burst_is_a_setting():
    limits = RateLimits(TenancySettings(burst_seconds=1.0))
    one = caller(requests_per_minute=120)
    assert [bool(is_admitted(limits, one)) for _ in range(3)] == [True, True, False]


def test_an_answer_says_what_is_left_as_openai_does():
    limits = RateLimits()
    one = caller(requests_per_minute=60, tokens_per_minute=6000)
    limits.admit(one, tokens=1234, now=0.0)

    assert limits.headers(one, now=0.0) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "4766",
        "x-ratelimit-reset-tokens": "12.34s",
    }
    only = limits.headers(caller("other", tokens_per_minute=1), now=0.0)
    assert only["x-ratelimit-reset-tokens"] == "0s"
    assert len(only) == 3


@pytest.mark.parametrize(
    ("used", "reset"),
    [(0.02, "20ms"), (8.64, "8.64s"), (60, "1m0s"), (90.5, "1m30.5s"), (3600, "1h0m0s")],
)
def test_durations_are_worded_as_openai_does(used, reset):
    limits = RateLimits(TenancySettings(burst_seconds=7200))
    one = caller(tokens_per_minute=60)
    limits.admit(one, tokens=used, now=0.0)

    assert limits.headers(one, now=0.0)["x-ratelimit-reset-tokens"] == reset


def test_a_debt_is_shown_as_nothing_left():
    limits, one = RateLimits(), caller(tokens_per_minute=60)
    limits.admit(one, tokens=1, now=0.0).settle(1000, now=0.0)
    assert limits.headers(one, now=0.0)["x-ratelimit-remaining-tokens"] == "0"


def test_callers_that_have_all_their_allowance_are_forgotten():
    limits = RateLimits()
    for number in range(10_000):
        limits.headers(caller(f"{number}", concurrent=1), now=0.0)
    limits.admit(caller("0", concurrent=1), tokens=1, now=0.0)
    limits.admit(caller("new", concurrent=1), tokens=1, now=0.0)

    assert set(limits._accounts) == {"0", "new"}


@given(st.lists(st.tuples(GAPS, AMOUNTS), max_size=60), st.floats(1, 6000), st.floats(0.5, 120))
def test_no_more_is_ever_let_in_than_rate_and_burst_allow(requests, per_minute, burst_seconds):
    limits = RateLimits(TenancySettings(burst_seconds=burst_seconds))
    one = caller(requests_per_minute=per_minute, tokens_per_minute=per_minute)
    burst = max(per_minute / 60 * burst_seconds, 1)
    now = count = charged = 0.0
    for gap, tokens in requests:
        now += gap
        grant = is_admitted(limits, one, tokens=tokens, now=now)
        if grant is not None:
            count += 1
            charged += grant.charged
        bound = (per_minute / 60 * now + burst) * (1 + 1e-6)
        assert count <= bound
        assert charged <= bound


@given(st.lists(st.tuples(GAPS, AMOUNTS, AMOUNTS), max_size=60), st.floats(1, 6000))
def test_over_time_nobody_uses_more_than_the_rate_however_wrong_the_estimates(
    requests, per_minute
):
    limits, one = RateLimits(), caller(tokens_per_minute=per_minute)
    now = used = last = 0.0
    for gap, tokens, actual in requests:
        now += gap
        grant = is_admitted(limits, one, tokens=tokens, now=now)
        if grant is not None:
            grant.settle(actual, now=now)
            used, last = used + actual, actual
        # Whoever is let in has no debt, so it can only be the last one that is not paid for.
        assert used - last <= (per_minute / 60 * now + max(per_minute, 1)) * (1 + 1e-6)


@given(st.lists(AMOUNTS, max_size=30), st.floats(1, 6000), AMOUNTS)
def test_no_debt_lasts_longer_than_is_said(actuals, per_minute, tokens):
    limits, one = RateLimits(), caller(tokens_per_minute=per_minute)
    for actual in actuals:
        grant = is_admitted(limits, one, tokens=1)
        if grant is not None:
            grant.settle(actual, now=0.0)
    if not is_admitted(limits, one, tokens=tokens):
        wait = refusal(limits, one, tokens=tokens).retry_after
        assert 0 < wait < math.inf
        assert is_admitted(limits, one, tokens=tokens, now=wait)


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=60), st.integers(1, 5))
def test_no_more_are_in_flight_than_may_be_and_all_come_back(steps, most):
    limits, one = RateLimits(), caller(concurrent=most)
    flying = []
    for step in steps:
        if step is None:
            grant = is_admitted(limits, one)
            assert (grant is not None) == (len(flying) < most)
            flying += [grant] if grant else []
        elif step < len(flying):
            flying.pop(step).settle(None, now=0.0)
    for grant in flying:
        grant.settle(None, now=0.0)

    assert all(is_admitted(limits, one) for _ in range(most))


@given(st.floats(0, 100_000))
def test_a_duration_reads_back(seconds):
    limits = RateLimits(TenancySettings(burst_seconds=100_000))
    one = caller(tokens_per_minute=60)
    limits.admit(one, tokens=seconds, now=0.0)
    worded = limits.headers(one, now=0.0)["x-ratelimit-reset-tokens"]
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    read = sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+)(ms|s|m|h)", worded))

    assert read == pytest.approx(seconds, abs=0.0011)
