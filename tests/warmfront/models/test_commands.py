"""The command line as people use it: what is printed, what is written, which status."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.models.bundled.scaling_sentences import every_case
from tests.inference.conftest import tiny, write_checkpoint
from tests.inference.graphs import classifier
from warmfront.cli import main
from warmfront.replica_command import BUNDLED_FOLDER as BUNDLED

TEXT = Path(__file__).parents[3] / "LICENSE"  # it does not change


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "tiny")


@pytest.fixture
def models(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `warmfront models ...`: status, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main(["models", *map(str, arguments)])
        out, err = capsys.readouterr()
        return status, out, err

    return run


Models = Callable[..., tuple[int, str, str]]


def smaller(*arguments: object) -> list[object]:
    return [*arguments, "--text", TEXT, "--windows", 2, "--window", 32]


def test_quantising_prints_what_it_gained_and_cost(models: Models, tmp_path: Path):
    status, out, _err = models("quantize", BUNDLED, tmp_path / "new", *smaller("--to", "int8"))
    rows = [line.split()[0] for line in out.splitlines() if line.strip() and "─" not in line]

    assert status == 0
    assert rows[:5] == ["quantise", "run", "size", "tokens/s", "perplexity"]
    assert max(map(len, out.splitlines())) <= 80
    assert (tmp_path / "new" / "model.safetensors").stat().st_size < 0.9 * (
        BUNDLED / "model.safetensors"
    ).stat().st_size


def test_a_report_can_be_read_by_machines(models: Models, tmp_path: Path):
    command = smaller("quantize", BUNDLED, tmp_path / "new", "--to", "int8", "--json")
    _status, out, _err = models(*command)

    assert json.loads(out) == json.loads((tmp_path / "new" / "compression.json").read_text())


def test_a_loss_beyond_what_is_allowed_is_refused(models: Models, tmp_path: Path):
    pytest.importorskip("torch", reason="pruning is torch's")
    known = tmp_path / "known.txt"  # what the model is at home in, and so has most to lose
    known.write_text("\n".join(f"{case.prompt}\n{case.sentence}" for case in every_case(4)))
    command = ["prune", BUNDLED, tmp_path / "new", "--pattern", "2:4"]
    status, _out, err = models(*command, "--text", known, "--windows", 2, "--window", 32)

    assert status == 1
    assert "warmfront: prune 2 of 4: perplexity goes from" in err
    assert not (tmp_path / "new").exists()


def test_pruning_says_that_zeros_alone_save_nothing(models: Models, source: Path, tmp_path: Path):
    pytest.importorskip("torch", reason="pruning is torch's")
    status, out, _err = models(
        *smaller("prune", source, tmp_path / "new", "--pattern", "2:4", "--max-loss", 1e9)
    )

    assert status == 0
    assert "50.0% of the matrices are zeros. Zeros save nothing by themselves" in out


def test_distilling_writes_a_student(models: Models, source: Path, tmp_path: Path):
    pytest.importorskip("torch", reason="distilling is torch's")
    pytest.importorskip("transformers", reason="it makes teacher and student")
    status, out, _err = models(
        *smaller("distill", source, tmp_path / "new", "--layers", 1, "--steps", 2),
        "--max-loss", 1e9,
    )  # fmt: skip

    assert status == 0
    assert "distil to 1 layers" in out
    assert json.loads((tmp_path / "new" / "config.json").read_text())["num_hidden_layers"] == 1


def test_without_a_text_nothing_is_judged(models: Models, source: Path, tmp_path: Path):
    status, _out, err = models("quantize", source, tmp_path / "new", "--to", "int8")

    assert status == 1
    assert "what is lost must be measured: give --text FILE" in err


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        pytest.param(["verify", "{}/none"], "none: holds no config.json", id="no folder"),
        pytest.param(["bench", "{}"], r"config.json: no such file", id="no model"),
        pytest.param(
            ["quantize", "{}", "{}/new", "--to", "int8", "--text", "{}/t"],
            "config.json: no such file",
            id="nothing to quantise",
        ),
        pytest.param(
            ["bench", "{}/tiny", "--precision", "int3"], "expected one of fp32, .*'int3'",
            id="precision",
        ),
        pytest.param(
            ["bench", "{}/tiny", "--precision", "bf16"], "no bf16 kernels on cpu", id="kernels"
        ),
        pytest.param(
            ["bench", "{}/tiny", "--precision", "fp8"], "calibrated scale for what enters",
            id="not calibrated",
        ),
        pytest.param(
            ["bench", "{}/tiny", "--runtime", "abacus"], "no runtime 'abacus'", id="runtime"
        ),
        pytest.param(
            ["import", "{}/tiny", "--name", "a b", "--repository", "{}"], "cannot name a model",
            id="name",
        ),
        pytest.param(
            ["import", "{}/tiny", "--version", "0", "--repository", "{}"], "version of 1 or more",
            id="version",
        ),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_sentence(
    models: Models, source: Path, command: list[str], reason: str
):
    status, _out, err = models(*(part.format(source.parent) for part in command))

    assert status == 1
    (line,) = err.strip().splitlines()
    assert line.startswith("warmfront: ")
    assert re.search(reason, line)


def test_a_sound_folder_can_be_served(models: Models, source: Path):
    assert models("verify", source) == (0, f"{source} can be served\n", "")


def test_every_finding_is_printed(models: Models, source: Path):
    (source / "model.safetensors").unlink()
    (source / "tokenizer.json").write_text("{")
    status, out, _err = models("verify", source)

    assert status == 1
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["error", "tokenizer.json:"],
        ["error", "model.safetensors:"],
    ]


def test_graphs_are_verified_by_loading_them(models: Models, tmp_path: Path):
    sound, broken = classifier(tmp_path / "sound"), tmp_path / "broken"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"no graph")

    assert models("verify", sound)[0] == 0
    status, out, _err = models("verify", broken)
    assert (status, out.split()[:2]) == (1, ["error", "model.onnx:"])


def test_models_are_imported_and_listed(models: Models, source: Path, tmp_path: Path):
    root = tmp_path / "repository"
    for arguments in ([source], [source, "--version", "7"], [source, "--name", "other"]):
        assert models("import", *arguments, "--repository", root)[0] == 0
    assert models("import", classifier(tmp_path / "digits"), "--repository", root)[0] == 0
    (root / "broken" / "1").mkdir(parents=True)
    status, out, _err = models("list", "--repository", root, "--json")
    listed = json.loads(out)

    assert status == 0
    assert [(one["name"], one["version"], one["kind"], one["precision"]) for one in listed] == [
        ("broken", 1, None, None),
        ("digits", 1, "classify", None),
        ("other", 1, "generate", "float16"),
        ("tiny", 1, "generate", "float16"),
        ("tiny", 7, "generate", "float16"),
    ]
    assert "holds no config.json" in listed[0]["problem"]
    assert listed[3]["size_bytes"] == sum(one.stat().st_size for one in source.iterdir())


def test_the_table_names_what_is_broken(models: Models, source: Path, tmp_path: Path):
    models("import", source, "--repository", tmp_path / "repository")
    (tmp_path / "repository" / "tiny" / "1" / "config.json").write_text("{}")
    _status, out, _err = models("list", "--repository", tmp_path / "repository")

    assert "broken" in out
    assert "config.json: model_type None is not supported" in out


def test_a_repository_that_is_not_there_is_empty(models: Models, tmp_path: Path):
    status, out, _err = models("list", "--state-dir", tmp_path / "state")

    assert status == 0
    assert out.startswith(f"No models in {tmp_path / 'state' / 'models'}")


def test_the_state_folder_holds_the_repository(models: Models, source: Path, tmp_path: Path):
    models("import", source, "--state-dir", tmp_path / "state")

    assert (tmp_path / "state" / "models" / "tiny" / "1" / "config.json").is_file()


def test_a_version_is_never_overwritten(models: Models, source: Path, tmp_path: Path):
    models("import", source, "--repository", tmp_path / "repository")
    status, _out, err = models(
        "import", source, "--version", "1", "--repository", tmp_path / "repository"
    )

    assert (status, "is there already" in err) == (1, True)


def test_a_broken_model_is_not_imported(models: Models, source: Path, tmp_path: Path):
    (source / "model.safetensors").write_bytes(b"torn")
    status, out, _err = models("import", source, "--repository", tmp_path / "repository")

    assert (status, "model.safetensors" in out) == (1, True)
    assert not (tmp_path / "repository").exists()


def test_speed_is_told_by_precision(models: Models, source: Path):
    status, out, _err = models(
        "bench", source, "--precision", "fp32", "--precision", "int8", "--prompt", 8, "--json"
    )
    rows = json.loads(out)

    assert status == 0
    assert [one["precision"] for one in rows] == ["fp32", "int8"]
    for one in rows:
        assert (one["prompt"], list(one["decode"])) == (8, ["1", "8", "32"])
        assert min(one["prefill"], *one["decode"].values()) > 0


@pytest.mark.parametrize("lowering", ["paged", "hostkv", "gqa", "rows"])
def test_every_lowering_can_be_timed(models: Models, tmp_path: Path, lowering: str):
    seeing = write_checkpoint(tmp_path / "seeing", tiny("llava"))
    status, out, _err = models("bench", seeing, "--lowering", lowering, "--prompt", 8)

    assert status == 0
    assert f"onnx, {lowering}, 1 CPU thread" in out.replace("\n", " ")
