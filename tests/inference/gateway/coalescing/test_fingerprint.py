import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.coalescing.errors import KeyReusedError
from inference.gateway.coalescing.fingerprint import fingerprint_of, wants_own_answer
from inference.gateway.completion import Operation, read_completion
from inference.gateway.errors import BadRequestError
from tests.inference.gateway.coalescing.outlets import ask


def identity(asked, tenant="acme", key=None):
    return fingerprint_of(asked, tenant=tenant, idempotency_key=key).identity


def test_equal_requests_of_one_tenant_are_told_alike():
    assert identity(ask(user="a")) == identity(ask(user="b"))


@pytest.mark.parametrize("key", [None, "k"])
def test_no_two_tenants_share(key):
    assert identity(ask(), key=key) != identity(ask(), tenant="other", key=key)


@pytest.mark.parametrize("key", [None, "k"])
def test_no_two_models_share(key):
    assert identity(ask(), key=key) != identity(ask(model="other"), key=key)


@pytest.mark.parametrize("key", [None, "k"])
def test_no_two_operations_share(key):
    body = b'{"model": "m", "prompt": "x", "messages": [], "seed": 1}'
    chat, text = (read_completion(one, body) for one in (Operation.CHAT, Operation.TEXT))

    assert identity(chat, key=key) != identity(text, key=key)


def test_another_body_is_another_request():
    assert identity(ask(seed=1)) != identity(ask(seed=2))


def test_what_is_sampled_is_not_shared():
    assert fingerprint_of(ask(temperature=1), tenant="acme") is None


def test_a_key_makes_what_is_sampled_repeatable():
    sampled = ask(temperature=1)

    assert identity(sampled, key="k") == identity(sampled, key="k")
    assert identity(sampled, key="k") != identity(sampled, key="other")


def test_an_empty_key_is_none():
    assert fingerprint_of(ask(temperature=1), tenant="acme", idempotency_key="") is None


def test_the_key_alone_tells_a_request_and_another_body_is_refused_by_it():
    first, second = (
        fingerprint_of(ask(seed=seed), tenant="acme", idempotency_key="k") for seed in (1, 2)
    )

    assert first.identity == second.identity
    first.confirm(first)
    with pytest.raises(KeyReusedError, match="another body") as caught:
        first.confirm(second)
    assert caught.value.status == 422


def test_a_key_cannot_be_made_to_look_like_a_body():
    body = ask()

    assert identity(body) != identity(body, key=body.digest.decode("latin-1"))


def test_a_key_that_is_too_long_is_refused():
    with pytest.raises(BadRequestError, match="256 characters"):
        identity(ask(), key="k" * 256)
    assert identity(ask(), key="k" * 255)


@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_tenants_and_keys_do_not_run_together(tenant, key, other_tenant, other_key):
    one = fingerprint_of(ask(), tenant=tenant, idempotency_key=key)
    other = fingerprint_of(ask(), tenant=other_tenant, idempotency_key=other_key)

    assert (one == other) == ((tenant, key) == (other_tenant, other_key))


@pytest.mark.parametrize(
    ("expected", "control"),
    [
        pytest.param(False, None, id="not given"),
        pytest.param(False, "max-age=0", id="something else"),
        pytest.param(True, "no-cache", id="no-cache"),
        pytest.param(True, "max-age=0, No-Store", id="no-store among others"),
    ],
)
def test_who_asks_for_an_answer_of_its_own(expected, control):
    headers = {} if control is None else {"Cache-Control": control}

    assert wants_own_answer(headers) == expected
