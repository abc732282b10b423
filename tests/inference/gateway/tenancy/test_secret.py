import pytest
from multidict import CIMultiDict

from inference.gateway.tenancy.secret import digest_of, new_secret, secret_in


def test_no_key_is_made_twice_and_each_is_known_for_one():
    keys = {new_secret() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("wfk_") and len(key) == 47 for key in keys)


def test_a_digest_is_of_any_bytes_that_a_header_can_hold():
    assert digest_of("a") != digest_of("b")
    assert len(digest_of(b"\xff\x00".decode(errors="surrogateescape"))) == 32


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        pytest.param({"Authorization": "Bearer k"}, "k", id="bearer"),
        pytest.param({"authorization": "bEARER   k "}, "k", id="any case, any spaces"),
        pytest.param({"X-API-Key": "k"}, "k", id="x-api-key"),
        pytest.param({"Authorization": "Bearer k", "x-api-key": "o"}, "k", id="bearer first"),
        pytest.param({"Authorization": "Basic k", "x-api-key": "o"}, "o", id="not basic"),
        pytest.param({"Authorization": "Basic k"}, None, id="basic alone"),
        pytest.param({"Authorization": "Bearer"}, None, id="no token"),
        pytest.param({"Authorization": "Bearer  ", "x-api-key": " "}, None, id="empty"),
        pytest.param({}, None, id="none"),
    ],
)
def test_where_a_request_has_its_key(headers, secret):
    assert secret_in(CIMultiDict(headers)) == secret
