import argparse
import json

import pytest

from inference.gateway.tenancy.caller import Quota, Scope
from inference.gateway.tenancy.key_file import KeyFile
from inference.gateway.tenancy.keys import Keyring
from inference.gateway.tenancy.priority import Priority
from telemetry.clock import SystemClock
from telemetry.publish import Metrics
from warmfront.cli import main
from warmfront.errors import WarmfrontError
from warmfront.keys.commands import add_keys


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "keys.json"


@pytest.fixture
def run(path, capsys):
    """Runs a command and returns what it printed: what a pipe gets, and what only people see."""
    parser = argparse.ArgumentParser()
    add_keys(parser.add_subparsers(required=True), lambda _: path)

    def run(*words):
        arguments = parser.parse_args(["keys", *words])
        capsys.readouterr()  # what was logged meanwhile
        assert arguments.command(arguments) == 0
        return capsys.readouterr()

    return run


@pytest.fixture
def keyring(path):
    def read():
        return Keyring(path, clock=SystemClock(), metrics=Metrics())

    return read


def caller(keyring, secret):
    return keyring.caller({"Authorization": f"Bearer {secret}"})


def test_a_key_that_was_made_opens(run, keyring):
    printed = run("create", "team-a")
    secret = printed.out.strip()

    assert caller(keyring(), secret).tenant == "team-a"
    assert caller(keyring(), secret).scopes == {Scope.INFERENCE}
    assert "shown this once" in printed.err
    assert "with a key only" in printed.err
    assert "with a key only" not in run("create", "team-b").err


def test_a_key_allows_what_was_said(run, keyring):
    made = json.loads(
        run(
            "create", "ops", "--scope", "inference,admin", "--priority", "batch",
            "--requests-per-minute", "60", "--tokens-per-minute", "9000", "--concurrent", "4",
            "--share", "2.5", "--expires", "30d", "--json",
        ).out
    )  # fmt: skip
    found = caller(keyring(), made["key"])

    assert found.scopes == set(Scope)
    assert found.highest is Priority.BATCH
    assert found.share == 2.5
    assert found.quota == Quota(60, 9000, 4)
    assert found.key == made["id"]
    assert made["state"].startswith("good until ")


def test_a_list_shows_every_key_and_no_secret(run, path):
    assert "everybody may ask" in run("list").err
    secret = run("create", "team-a", "--requests-per-minute", "60").out.strip()
    listed = run("list").out
    (row,) = json.loads(run("list", "--json").out)

    assert row["name"] == "team-a"
    assert row["state"] == "good"
    assert row["id"] in listed
    assert "hash" not in row
    assert secret not in listed + path.read_text()


def test_a_list_cuts_no_limit_short(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run("create", "a" * 64, "--requests-per-minute", "0.5", "--tokens-per-minute", "2000000")
    listed = run("list").out

    assert " 0.5 requests/min" in listed
    assert " 2,000,000 tokens/min" in listed


def test_a_revoked_key_opens_no_more_and_the_door_stays_shut(run, keyring):
    made = json.loads(run("create", "team-a", "--json").out)
    assert "Revoked" in run("revoke", made["id"]).err

    assert not keyring().is_open
    with pytest.raises(Exception, match="revoked"):
        caller(keyring(), made["key"])
    assert json.loads(run("list", "--json").out)[0]["state"] == "revoked"
    with pytest.raises(WarmfrontError, match="is revoked"):
        run("rotate", made["id"])


def test_a_rotated_key_has_a_new_secret(run, keyring):
    made = json.loads(run("create", "team-a", "--json").out)
    new = run("rotate", made["id"]).out.strip()

    assert caller(keyring(), new).key == made["id"]
    with pytest.raises(Exception, match="not known"):
        caller(keyring(), made["key"])


def test_a_rotated_key_may_keep_its_old_secret_for_a_while(run, keyring):
    made = json.loads(run("create", "team-a", "--json").out)
    new = json.loads(run("rotate", made["id"], "--grace", "1h", "--json").out)

    assert caller(keyring(), made["key"]) == caller(keyring(), new["key"])


def test_another_file_can_be_named(run, path, tmp_path):
    other = tmp_path / "other.json"
    run("create", "team-a", "--file", str(other))

    assert other.exists()
    assert not path.exists()


def test_the_settings_say_where_the_file_is(tmp_path, capsys):
    state, own = tmp_path / "state", tmp_path / "own.json"
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[gateway]\nkeys = "{own}"')

    assert main(["keys", "create", "team-a", "--state-dir", str(state)]) == 0
    assert [key.name for key in KeyFile(state / "keys.json").read()] == ["team-a"]
    assert main(["keys", "create", "team-b", "--config", str(settings)]) == 0
    assert [key.name for key in KeyFile(own).read()] == ["team-b"]
    capsys.readouterr()
    assert main(["keys", "revoke", "key-1", "--config", str(settings)]) == 1
    assert capsys.readouterr().err.startswith("warmfront: there is no key 'key-1' in ")


def test_what_went_wrong_is_told(run, path):
    with pytest.raises(WarmfrontError, match=r"there is no key 'key-1' in .*keys\.json"):
        run("revoke", "key-1")
    path.write_text("{")
    with pytest.raises(WarmfrontError, match=r"keys\.json is no key file"):
        run("list")
    path.unlink()
    path.mkdir()
    with pytest.raises(WarmfrontError, match=r"keys\.json: Is a directory"):
        run("create", "team-a")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("create", "a b"), "expected up to 64 letters"),
        (("create", "a", "--scope", "root"), "expected inference, admin or both, got 'root'"),
        (("create", "a", "--expires", "30"), "such as 30d, got '30'"),
        (("create", "a", "--expires", "0d"), "such as 30d"),
        (("create", "a", "--share", "nan"), "expected a number above 0, got 'nan'"),
        (("create", "a", "--share", "x"), "expected a number above 0, got 'x'"),
        (("create", "a", "--concurrent", "0"), "expected a whole number above 0, got '0'"),
        (("create", "a", "--priority", "high"), "invalid choice: 'high'"),
    ],
)
def test_what_cannot_be_meant_is_refused(run, capsys, words, message):
    with pytest.raises(SystemExit):
        run(*words)
    assert message in capsys.readouterr().err
