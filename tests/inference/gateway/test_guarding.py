"""Who may do what, as callers see it through the gateway."""

from datetime import UTC, datetime

import pytest

from inference.gateway.tenancy.caller import Scope
from inference.gateway.tenancy.key_file import KeyFile, StoredKey, hash_of
from inference.gateway.tenancy.secret import new_secret
from tests.inference.gateway.fake_replica import ask

CHAT = "/v1/chat/completions"


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def keys(tmp_path):
    """A key file, and its keys by the scope that each has."""
    path, secrets = tmp_path / "keys.json", {}
    with KeyFile(path).editing() as stored:
        for scope in Scope:
            secrets[scope] = secret = new_secret()
            now = datetime.now(UTC)
            stored.append(
                StoredKey(
                    id=scope,
                    name="acme",
                    hash=hash_of(secret),
                    scopes=frozenset({scope}),
                    created=now,
                )
            )
    return path, secrets


async def status(http, gateway, path, *, headers=None):
    if path == CHAT:
        response = await http.post(gateway.url + path, json=ask(), headers=headers)
    else:
        response = await http.get(gateway.url + path, headers=headers)
    return response.status


async def test_with_keys_only_who_has_one_is_served(start_replica, start_gateway, http, keys):
    path, secrets = keys
    await start_replica()
    gateway = await start_gateway(key_file=path)

    assert await status(http, gateway, CHAT) == 401
    assert await status(http, gateway, "/v1/models") == 401
    assert await status(http, gateway, CHAT, headers=bearer("wf-guessed")) == 401
    assert await status(http, gateway, CHAT, headers=bearer(secrets["inference"])) == 200
    assert await status(http, gateway, "/v1/models", headers=bearer(secrets["inference"])) == 200
    for page in ("/health", "/ready", "/metrics"):
        assert await status(http, gateway, page) == 200


async def test_a_key_opens_what_its_scopes_say(start_replica, start_gateway, http, keys):
    path, secrets = keys
    await start_replica()
    gateway = await start_gateway(key_file=path)

    assert await status(http, gateway, "/admin/rollouts", headers=bearer(secrets["admin"])) == 200
    assert await status(http, gateway, CHAT, headers=bearer(secrets["admin"])) == 403
    inference = bearer(secrets["inference"])
    assert await status(http, gateway, "/admin/rollouts", headers=inference) == 403
    assert gateway.value("warmfront_gateway_unauthorized_total", reason="scope") == 2
