import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from inference.gateway.tenancy.caller import Caller, Quota, Scope
from inference.gateway.tenancy.key_file import (
    KeyFile,
    KeyFileError,
    StoredKey,
    hash_of,
    parse_keys,
)
from inference.gateway.tenancy.priority import Priority

BORN = datetime(2026, 1, 1, tzinfo=UTC)


def stored(secret="s", **fields):  # noqa: S107 - of a test
    named = {"id": f"key-{secret}", "name": "team", "hash": hash_of(secret), "created": BORN}
    return StoredKey(**named | fields)


def text(**changes):
    entry = json.loads(stored().model_dump_json()) | changes
    return json.dumps({"version": 1, "keys": [entry]}).encode()


@pytest.fixture
def file(tmp_path):
    return KeyFile(tmp_path / "state" / "keys.json")


def test_what_is_written_is_read(file):
    key = stored(scopes=frozenset({Scope.ADMIN}), priority=Priority.BATCH, share=2.0, concurrent=3)
    assert file.read() == ()
    assert file.stamp() is None
    with file.editing() as keys:
        keys.append(key)

    assert file.read() == (key,)
    assert key.caller == Caller(
        "team", frozenset({Scope.ADMIN}), Priority.BATCH, 2.0, Quota(concurrent=3), "key-s"
    )


def test_a_file_that_is_written_anew_has_another_stamp(file):
    stamps = set()
    for _ in range(3):
        with file.editing():
            pass
        stamps.add(file.stamp())

    assert len(stamps) == 3


def test_only_its_owner_can_read_it_and_no_secret_is_in_it(file):
    with file.editing() as keys:
        keys.append(stored("the-secret", id="key-1"))

    assert file.path.stat().st_mode & 0o777 == 0o600
    assert "the-secret" not in file.path.read_text()


def test_who_could_read_it_still_can_once_it_is_changed(file):
    with file.editing():
        pass
    file.path.chmod(0o640)
    with file.editing():
        pass
    assert file.path.stat().st_mode & 0o777 == 0o640

    file.path.chmod(0o644)
    with file.editing():
        pass
    assert file.path.stat().st_mode & 0o777 == 0o640


def test_where_the_file_is_a_link_it_stays_one(file, tmp_path):
    file.path.parent.mkdir()
    file.path.symlink_to(tmp_path / "real.json")
    with file.editing() as keys:
        keys.append(stored())

    assert file.path.is_symlink()
    assert KeyFile(tmp_path / "real.json").read() == file.read()


def test_a_change_that_fails_changes_nothing(file):
    with file.editing() as keys:
        keys.append(stored())
    before = file.path.read_bytes()
    with pytest.raises(ZeroDivisionError), file.editing() as keys:
        keys[0] = keys[1 // 0]

    assert file.path.read_bytes() == before
    assert {path.name for path in file.path.parent.iterdir()} == {"keys.json", "keys.json.lock"}


def test_changes_at_the_same_time_are_all_kept(file):
    def add(number):
        with KeyFile(file.path).editing() as keys:
            keys.append(stored(f"{number}"))

    with ThreadPoolExecutor(8) as pool:  # each opens the lock itself, as a process would
        list(pool.map(add, range(8)))

    assert {key.id for key in file.read()} == {f"key-{n}" for n in range(8)}


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_to_is_refused(file, mode):
    with file.editing():
        pass
    file.path.chmod(mode)
    with pytest.raises(KeyFileError, match=r"write to .*keys\.json .* run: chmod 600"):
        file.read()


def test_a_file_that_everybody_can_read_is_told_of_once(file):
    with file.editing():
        pass
    file.path.chmod(0o644)
    with capture_logs() as logs:
        file.read()
        file.read()

    assert [log["log_level"] for log in logs] == ["warning"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(b"", "EOF", id="empty"),
        pytest.param(b"[]", "object", id="no object"),
        pytest.param(b"\xff", "JSON", id="no text"),
        pytest.param(b'{"version": 2, "keys": []}', r"version: .*1", id="another version"),
        pytest.param(text(hash="sha256:12"), r"keys\.0\.hash: .*pattern", id="half a hash"),
        pytest.param(text(scopes=["root"]), r"keys\.0\.scopes", id="no such scope"),
        pytest.param(text(scopes=[]), r"keys\.0\.scopes", id="no scope"),
        pytest.param(text(priority="high"), r"keys\.0\.priority: .*'batch'", id="no priority"),
        pytest.param(text(share="1"), r"keys\.0\.share: .*number", id="text for a number"),
        pytest.param(text(concurrent=0), r"keys\.0\.concurrent: .*greater", id="nothing"),
        pytest.param(text(expires="soon"), r"keys\.0\.expires", id="no time"),
        pytest.param(text(created="2026-01-01T00:00:00"), r"created: .*timezone", id="no zone"),
        pytest.param(text(qouta=3), r"keys\.0\.qouta: Extra", id="misspelt"),
        pytest.param(text(name="a b"), r"keys\.0\.name: .*pattern", id="no plain name"),
    ],
)
def test_a_fault_is_told_without_what_is_in_the_file(content, fault):
    with pytest.raises(KeyFileError, match=fault) as caught:
        parse_keys(content)
    assert caught.value.__suppress_context__
    assert stored().hash not in str(caught.value)


@pytest.mark.parametrize(
    ("twin", "what"),
    [(stored("t", id="key-s"), "id"), (stored("t", hash=hash_of("s")), "hash")],
)
def test_no_two_keys_are_alike(file, twin, what):
    with file.editing() as keys:
        keys.extend([stored("s"), twin])
    with pytest.raises(KeyFileError, match=f"two keys have the same {what}"):
        file.read()
