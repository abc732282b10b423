"""Settings are checked whole at start-up, and each mistake is named with its place."""

from pathlib import Path

import pytest

from warmfront.config import Config, check_config, load_config
from warmfront.errors import ConfigError


def test_without_a_file_the_defaults_hold():
    assert load_config(None) == Config()


def test_a_file_overrides_only_what_it_names(tmp_path: Path):
    path = tmp_path / "warmfront.toml"
    path.write_text("[autoscaler]\nmaximum = 7\n")

    config = load_config(path)

    assert config.autoscaler.maximum == 7
    assert config.autoscaler.minimum == Config().autoscaler.minimum


@pytest.mark.parametrize("steps", [3, 144, 1440])
def test_a_day_played_faster_is_still_a_season_of_whole_steps(steps: int):
    step = 100.0 / steps

    grid = {"step_seconds": step, "season_seconds": step * steps}
    config = check_config({"forecast": grid}, where="a replay")

    assert config.forecast.season_steps == steps


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[autoscaler\n", "not valid TOML", id="broken TOML"),
        pytest.param("[autoscaler]\nmaximun = 3\n", "autoscaler.maximun", id="mistyped name"),
        pytest.param(
            "[autoscaler]\nmaximun = 3\n", "known here: mode, minimum", id="the right names"
        ),
        pytest.param("[autoscaler]\nmaximum = 'many'\n", "got 'many'", id="wrong type"),
        pytest.param(
            "[autoscaler]\nminimum = 5\nmaximum = 2\n", "minimum (5)", id="crossed bounds"
        ),
        pytest.param("[addresses]\ngateway = 99999\n", "addresses.gateway", id="no such port"),
        pytest.param(
            "[forecast]\nseason_seconds = 5\n", "at least two steps", id="season too short"
        ),
        pytest.param(
            "[forecast]\nstep_seconds = 7\n",
            "season_seconds (86400) must be a whole number of steps of step_seconds (7)",
            id="season of part steps",
        ),
        pytest.param("[model]\nname = 'a b'\n", "model.name", id="name that URLs cannot carry"),
        pytest.param(
            "[nonsense]\n", "no such setting (known here: state_dir", id="no such section"
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, said: str):
    path = tmp_path / "warmfront.toml"
    path.write_text(text)

    with pytest.raises(ConfigError) as raised:
        load_config(path)

    assert said in str(raised.value)
    assert "warmfront.toml" in str(raised.value)


def test_every_mistake_is_told_at_once():
    with pytest.raises(ConfigError) as raised:
        check_config({"replica": {"slots": 0}, "objective": {"ttft_seconds": -1}}, where="x.toml")

    assert "replica.slots" in str(raised.value)
    assert "objective.ttft_seconds" in str(raised.value)


def test_a_missing_file_says_which(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        load_config(tmp_path / "nowhere.toml")


def test_replacing_settings_checks_them_again():
    with pytest.raises(ConfigError, match="the command line cannot be used"):
        Config().replaced("the command line", autoscaler={"minimum": 9, "maximum": 2})
