"""Settings reach the parts they belong to; secrets stay off the command line."""

import dataclasses
from pathlib import Path

import pytest

from autoscaler.plan import Mode, Policy
from telemetry.lifecycle import ReplicaState
from warmfront.config import Config
from warmfront.errors import ConfigError
from warmfront.replica_command import replica_command
from warmfront.state_dir import prepare
from warmfront.wiring import policy_of


def test_every_setting_of_the_autoscaler_that_is_policy_reaches_the_planner():
    settings = {
        "mode": "reactive", "minimum": 2, "maximum": 9, "standby": 1, "quantile": 0.7,
        "utilisation": 0.5, "hold_seconds": 11.0, "tick_seconds": 0.3,
    }  # fmt: skip
    policy = policy_of(Config().replaced("a test", autoscaler=settings))

    expected = {**settings, "mode": Mode.REACTIVE}
    assert {name: getattr(policy, name) for name in expected} == expected
    untouched = {field.name for field in dataclasses.fields(Policy)} - expected.keys()
    assert untouched == {"backlog_seconds"}


def test_a_replica_is_started_with_its_settings_and_without_the_key(tmp_path: Path):
    state = prepare(tmp_path)
    config = Config().replaced("a test", replica={"slots": 3, "min_iteration_seconds": 0.5})

    line = replica_command(config, state)("r1", ReplicaState.STANDBY)

    pairs = dict(zip(line[3::2], line[4::2], strict=True))
    assert line[1:3] == ["-m", "inference.replica"]
    assert pairs["--id"] == "r1"
    assert pairs["--state"] == "standby"
    assert pairs["--slots"] == "3"
    assert pairs["--min-iteration-seconds"] == "0.5"
    assert state.admin_key.read_text() not in line


def test_a_folder_that_holds_no_model_is_refused_at_the_start(tmp_path: Path):
    config = Config().replaced("a test", model={"folder": tmp_path})

    with pytest.raises(ConfigError, match=r"holds no config\.json"):
        replica_command(config, prepare(tmp_path / "state"))
