"""The state folder belongs to one daemon at a time, and its key to its owner."""

import stat
from pathlib import Path

import pytest

from warmfront.errors import StackError
from warmfront.state_dir import claimed, prepare


def test_the_admin_key_is_readable_by_its_owner_only_and_stays(tmp_path: Path):
    state = prepare(tmp_path / "state")
    key = state.admin_key.read_text()

    assert stat.S_IMODE(state.admin_key.stat().st_mode) == 0o600
    assert len(key) >= 32
    assert prepare(tmp_path / "state").admin_key.read_text() == key


def test_two_daemons_cannot_share_a_folder(tmp_path: Path):
    state = prepare(tmp_path)

    with claimed(state), pytest.raises(StackError, match="already works in"), claimed(state):
        pass


def test_a_folder_that_was_let_go_can_be_claimed_again(tmp_path: Path):
    state = prepare(tmp_path)
    with claimed(state):
        pass

    with claimed(state):
        pass


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StackError, match="choose another with --state-dir"):
        prepare(tmp_path / "file" / "state")
