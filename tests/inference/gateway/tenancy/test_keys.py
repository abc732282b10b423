import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from multidict import CIMultiDict
from structlog.testing import capture_logs

from inference.gateway.errors import ForbiddenError, UnauthenticatedError
from inference.gateway.tenancy.caller import Caller, Scope
from inference.gateway.tenancy.key_file import KeyFile, KeyFileError, Previous, StoredKey, hash_of
from inference.gateway.tenancy.keys import Keyring
from inference.gateway.tenancy.settings import TenancySettings
from telemetry.clock import ManualClock
from telemetry.publish import Metrics

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ADMIN = Caller("admin", frozenset(Scope))


class Bench:
    """A keyring over a file that a test changes."""

    def __init__(self, path):
        self.file = KeyFile(path)
        self.clock = ManualClock(NOW.timestamp())
        self.metrics = Metrics()

    def put(self, *secrets, **fields):
        with self.file.editing() as keys:
            keys[:] = [
                StoredKey(
                    **{"id": f"key-{one}", "name": f"{one}s", "hash": hash_of(one), "created": NOW}
                    | fields
                )
                for one in secrets
            ]

    def keyring(self, **options):
        return Keyring(self.file.path, clock=self.clock, metrics=self.metrics, **options)

    def refusals(self, reason):
        return next(
            one.value
            for one in self.metrics.samples(0.0)
            if one.name == "warmfront_gateway_unauthorized_total"
            and one.labels == {"reason": reason}
        )


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "keys.json")


def bearer(secret):
    return CIMultiDict({"Authorization": f"Bearer {secret}"})


def who(keyring, secret):
    return keyring.caller(bearer(secret)).tenant


def refused(keyring, headers):
    with pytest.raises(UnauthenticatedError) as caught:
        keyring.caller(headers)
    return str(caught.value)


def test_without_keys_everybody_is_anonymous_whatever_they_send(bench):
    for keyring in (Keyring(clock=bench.clock, metrics=bench.metrics), bench.keyring()):
        assert keyring.is_open
        assert keyring.caller({}) == keyring.caller(bearer("none")) == Caller()


def test_anonymous_callers_have_the_quota_of_the_settings(bench):
    keyring = bench.keyring(settings=TenancySettings(anonymous_concurrent=2))
    assert keyring.caller({}).quota.concurrent == 2


def test_a_key_makes_its_tenant_and_others_are_refused(bench):
    bench.put("a", "b")
    keyring = bench.keyring()

    for _ in range(2):  # by comparing with all, then from memory
        assert (who(keyring, "a"), who(keyring, "b")) == ("as", "bs")
        assert "not known" in refused(keyring, bearer("c"))
    assert "none was sent" in refused(keyring, {})
    assert bench.refusals("unknown") == 2
    assert bench.refusals("missing") == 1


def test_a_hash_is_no_key(bench):
    bench.put("a")
    refused(bench.keyring(), bearer(hashlib.sha256(b"a").hexdigest()))
    refused(bench.keyring(), bearer(hash_of("a")))


def test_a_refusal_never_shows_the_key(bench):
    bench.put("a", expires=NOW + timedelta(hours=1))
    keyring = bench.keyring()
    bench.clock.advance(7200)
    with capture_logs() as logs:
        texts = [refused(keyring, bearer("my-very-secret")), refused(keyring, bearer("a"))]

    assert not any("my-very-secret" in one for one in [*texts, repr(logs)])


def test_a_refusal_says_how_to_authenticate(bench):
    bench.put("a")
    with pytest.raises(UnauthenticatedError) as caught:
        bench.keyring().caller({})
    answer = caught.value.response()

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert '"invalid_api_key"' in answer.text


def test_a_key_opens_until_it_expires(bench):
    bench.put("a", expires=NOW + timedelta(seconds=60))
    keyring = bench.keyring()
    bench.clock.advance(59.9)
    assert who(keyring, "a") == "as"

    bench.clock.advance(0.1)
    assert "expired" in refused(keyring, bearer("a"))
    assert bench.refusals("expired") == 1


def test_a_revoked_key_opens_nothing_and_does_not_open_the_door(bench):
    bench.put("a", disabled=True)
    keyring = bench.keyring()

    assert "revoked" in refused(keyring, bearer("a"))
    assert bench.refusals("revoked") == 1
    refused(keyring, {})


def test_a_rotated_key_opens_with_its_old_secret_for_a_while(bench):
    before = Previous(hash=hash_of("old"), expires=NOW + timedelta(seconds=60))
    bench.put("a", previous=before)
    keyring = bench.keyring()
    assert who(keyring, "old") == who(keyring, "a") == "as"

    bench.clock.advance(60)
    assert who(keyring, "a") == "as"
    refused(keyring, bearer("old"))


def test_a_given_key_opens_though_no_key_is_needed(bench):
    keyring = bench.keyring(given={"root": ADMIN})
    assert keyring.is_open
    assert keyring.caller(bearer("root")) == ADMIN
    assert keyring.caller(bearer("other")) == Caller()

    bench.put("a")
    keyring = bench.keyring(given={"root": ADMIN})
    assert keyring.caller(bearer("root")) == ADMIN
    refused(keyring, bearer("other"))


def test_a_scope_is_needed_whether_or_not_a_key_is(bench):
    keyring = bench.keyring(given={"root": ADMIN})
    keyring.require(keyring.caller(bearer("root")), Scope.ADMIN)
    keyring.require(Caller(), Scope.INFERENCE)
    with pytest.raises(ForbiddenError, match="scope 'admin'"):
        keyring.require(keyring.caller({}), Scope.ADMIN)

    assert bench.refusals("scope") == 1


async def test_changes_of_the_file_are_taken_in(bench):
    keyring = bench.keyring(settings=TenancySettings(refresh_seconds=0.01))
    async with keyring.watching(), asyncio.timeout(5):
        assert keyring.is_open
        bench.put("a")
        while keyring.is_open:  # noqa: ASYNC110 - it watches what sets no event
            await asyncio.sleep(0.005)
        assert who(keyring, "a") == "as"
        bench.put("b")
        while "b" not in {one.caller.tenant[:1] for one in keyring._known}:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    assert who(keyring, "b") == "bs"
    refused(keyring, bearer("a"))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_text("{"), id="no JSON"),
        pytest.param(lambda path: path.chmod(0o666) or path.write_text("{}"), id="not safe"),
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(lambda path: path.unlink() or path.mkdir(), id="a folder"),
    ],
)
async def test_a_file_that_goes_bad_leaves_the_keys_and_is_told_once(bench, spoil):
    bench.put("a")
    keyring = bench.keyring()
    spoil(bench.file.path)
    with capture_logs() as logs:
        await keyring.refresh()
        await keyring.refresh()

    assert who(keyring, "a") == "as"
    refused(keyring, {})
    assert [log["log_level"] for log in logs] == ["error"]
    assert "keys.json" in logs[0]["reason"]


async def test_a_file_that_is_good_again_is_taken_in(bench):
    bench.put("a")
    keyring = bench.keyring()
    bench.file.path.unlink()
    await keyring.refresh()
    bench.put("b")
    await keyring.refresh()

    assert who(keyring, "b") == "bs"


def test_a_gateway_does_not_start_with_a_bad_file(bench):
    bench.file.path.write_text("{")
    with pytest.raises(KeyFileError, match=r"keys\.json is no key file"):
        bench.keyring()

    bench.file.path.unlink()
    bench.file.path.mkdir()
    with pytest.raises(KeyFileError, match=r"keys\.json cannot be read: Is a directory"):
        bench.keyring()
