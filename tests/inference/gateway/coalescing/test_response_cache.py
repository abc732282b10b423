import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.coalescing.answer import Answer
from inference.gateway.coalescing.errors import KeyReusedError
from inference.gateway.coalescing.fingerprint import Fingerprint
from inference.gateway.coalescing.response_cache import ResponseCache
from inference.gateway.outlet import Whole


def answer(size=10):
    return Answer(Whole(200, b"x" * size))


def asked(name, body=None):
    return Fingerprint(name.encode(), (body or name).encode())


def found(cache, name, now):
    kept = cache.find(asked(name), now)
    return None if kept is None else kept.answer


def test_an_answer_is_given_again_until_its_time_is_over():
    cache, one = ResponseCache(seconds=5, limit_bytes=100), answer()
    cache.store(asked("a"), one, now=10.0)

    assert found(cache, "a", 14.9) is one
    assert cache.find(asked("a"), 13.0).age(13.0) == 3.0
    assert found(cache, "a", 15.0) is None
    assert cache.size == 0


def test_without_a_time_nothing_is_kept():
    cache = ResponseCache(seconds=0, limit_bytes=100)
    cache.store(asked("a"), answer(), now=0)

    assert found(cache, "a", 0) is None
    assert cache.size == 0


def test_what_was_not_asked_for_the_longest_goes_first():
    cache = ResponseCache(seconds=5, limit_bytes=25)
    cache.store(asked("a"), answer(), now=0)
    cache.store(asked("b"), answer(), now=0)
    assert found(cache, "a", 1) is not None

    cache.store(asked("c"), answer(), now=1)

    assert found(cache, "a", 1) is not None
    assert found(cache, "b", 1) is None


def test_an_answer_larger_than_the_cache_drives_nobody_out():
    cache = ResponseCache(seconds=5, limit_bytes=25)
    cache.store(asked("a"), answer(), now=0)
    cache.store(asked("b"), answer(26), now=0)

    assert found(cache, "a", 0) is not None
    assert found(cache, "b", 0) is None


def test_what_has_expired_goes_when_something_comes():
    cache = ResponseCache(seconds=5, limit_bytes=100)
    cache.store(asked("a"), answer(), now=0)
    cache.store(asked("b"), answer(), now=6)

    assert cache.size == 10


def test_a_key_that_stands_for_another_request_is_refused_while_its_answer_is_kept():
    cache = ResponseCache(seconds=5, limit_bytes=100)
    cache.store(asked("key", body="first"), answer(), now=0)

    with pytest.raises(KeyReusedError):
        cache.find(asked("key", body="second"), 4)
    assert cache.find(asked("key", body="second"), 5) is None


STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.booleans(), st.integers(0, 40), st.integers(0, 3))
)


@given(STEPS)
def test_the_cache_stays_within_its_bounds_and_tells_only_what_was_stored(steps):
    cache, stored, now = ResponseCache(seconds=5, limit_bytes=50), {}, 0
    for name, is_store, size, passed in steps:
        now += passed
        if is_store:
            one = answer(size)
            cache.store(asked(name), one, now)
            stored[name] = (one, now)
        kept = found(cache, name, now)
        if kept is not None:
            assert kept is stored[name][0]
            assert now - stored[name][1] < 5
        assert cache.size == sum(one.size for one in cache._kept.values()) <= 50
