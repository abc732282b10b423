"""A shell completes Warmfront's commands, options and files: asked of the shells themselves."""

import shutil
import subprocess
from pathlib import Path

import pytest

from warmfront.cli import main
from warmfront.completion import SHELLS

# What bash does at the tab key: the words so far in, the completions out.
_AT_TAB = """\
source {script}
cd {folder}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
COMP_LINE="${{COMP_WORDS[*]}}"; COMP_POINT=${{#COMP_LINE}}
asked=$(complete -p warmfront | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$asked warmfront "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "demand.csv").touch()
    (tmp_path / "deep").mkdir()
    return tmp_path


def script(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", shell]) == 0
    path = folder / f"completion.{shell}"
    path.write_text(capsys.readouterr().out)
    return path


def ran(*words: str) -> set[str]:
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == ""
    return {line.strip() for line in done.stdout.splitlines() if line.strip()}


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        pytest.param("warmfront fore", {"forecast"}, id="a command"),
        pytest.param("warmfront forecast pre", {"predict"}, id="an action"),
        pytest.param("warmfront forecast predict --qu", {"--query", "--quantiles"}, id="options"),
        pytest.param("warmfront forecast predict --format p", {"parquet"}, id="a choice"),
        pytest.param("warmfront forecast predict de", {"demand.csv", "deep"}, id="a source"),
        pytest.param("warmfront forecast fit --card de", {"demand.csv", "deep"}, id="a file"),
        pytest.param("warmfront up --state-dir de", {"deep"}, id="a folder"),
        pytest.param("warmfront completion f", {"fish"}, id="a shell"),
    ],
)
def test_bash_completes(
    folder: Path, capsys: pytest.CaptureFixture[str], typed: str, completed: set[str]
) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine's PATH")
    path = script("bash", folder, capsys)
    asked = _AT_TAB.format(script=path, folder=folder, words=typed)

    assert ran(bash, "--noprofile", "--norc", "-c", asked) == completed


def test_fish_completes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("no fish on this machine's PATH")
    path = script("fish", folder, capsys)
    asked = f"source {path}; complete -C 'warmfront forecast pre'"

    assert {line.split("\t")[0] for line in ran(fish, "--no-config", "-c", asked)} == {"predict"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_finds_no_fault_in_its_script(
    folder: Path, capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} on this machine's PATH")

    assert ran(found, "-n", str(script(shell, folder, capsys))) == set()
    assert shell in SHELLS


def test_a_shell_that_is_not_known_is_refused() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["completion", "korn"])
