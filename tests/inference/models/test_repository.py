from collections.abc import Callable
from pathlib import Path

import pytest

from inference.models.precision import Lowering, Precision
from inference.models.repository import (
    Kind,
    ModelConfig,
    NoSuchModelError,
    OneModel,
    Repository,
    Versions,
    read_config,
)
from inference.models.spec import ModelError

CHECKPOINT = {"config.json": "{}"}
ONNX = {"model.onnx": ""}


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Writes one version of a model: `put("a/1", {"config.json": "{}"}, config="slots = 2")`."""

    def write(version: str, files: dict[str, str], *, config: str | None = None) -> Path:
        folder = tmp_path / "models" / version
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        if config is not None:
            (folder.parent / "config.toml").write_text(config)
        return folder

    return write


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "models").mkdir(exist_ok=True)
    return Repository(tmp_path / "models")


def test_models_are_the_folders_that_are_not_hidden(put, repository: Repository, tmp_path: Path):
    put("b/1", CHECKPOINT)
    put("a/1", CHECKPOINT)
    put(".git/1", CHECKPOINT)
    (tmp_path / "models" / "README").write_text("no model")

    assert repository.names() == ["a", "b"]


def test_the_newest_version_is_the_one_with_the_highest_number(put, repository: Repository):
    for version in ("a/2", "a/10", "a/1", "a/notes", "a/011"):
        put(version, CHECKPOINT)

    (only,) = repository.versions("a")
    assert (only.version, only.name, only.folder.name) == (10, "a", "10")


@pytest.mark.parametrize(
    ("versions", "names", "newest"),
    [
        pytest.param('"all"', ["a:1", "a:2", "a:3"], "a:3", id="all"),
        pytest.param("[2, 1, 2]", ["a:1", "a:2"], "a:2", id="some"),
    ],
)
def test_several_versions_have_a_name_each(
    put, repository: Repository, versions: str, names: list[str], newest: str
):
    put("a/1", CHECKPOINT, config=f"versions = {versions}")
    put("a/2", CHECKPOINT)
    put("a/3", CHECKPOINT)

    found = repository.versions("a")

    assert [one.name for one in found] == names
    assert [one.name for one in found if one.is_newest] == [newest]


@pytest.mark.parametrize(
    ("files", "config", "kind"),
    [
        pytest.param(CHECKPOINT, "", Kind.GENERATE, id="checkpoint"),
        pytest.param(ONNX, "", Kind.CLASSIFY, id="graph alone"),
        pytest.param(ONNX | {"tokenizer.json": "{}"}, "", Kind.EMBED, id="graph of text"),
        pytest.param(
            ONNX
            | {
                "tokenizer.json": "{}",
                "config.json": '{"architectures": ["BertForSequenceClassification"]}',
            },
            "",
            Kind.CLASSIFY,
            id="classifier of text",
        ),
        pytest.param(ONNX | CHECKPOINT, 'kind = "generate"', Kind.GENERATE, id="as configured"),
    ],
)
def test_what_a_model_answers_with_follows_from_its_files(
    put, repository: Repository, files: dict[str, str], config: str, kind: Kind
):
    put("a/1", files, config=config)

    assert repository.versions("a")[0].kind is kind


def test_a_config_says_how_a_model_is_to_run(put, repository: Repository):
    text = """
        runtime = "onnx"
        lowering = "gqa"
        precision = "fp32"
        instances = 2
        slots = 4
        token_budget = 64
        kv_memory_mib = 16
        versions = "latest"
        max_batch = 32
        max_queue_delay_ms = 2.5
        preload = false
    """
    put("a/1", CHECKPOINT, config=text)

    assert repository.versions("a")[0].config == ModelConfig(
        runtime="onnx", lowering=Lowering.GQA, precision=Precision.FP32, instances=2, slots=4,
        token_budget=64, kv_memory_mib=16, versions=Versions.LATEST, max_batch=32,
        max_queue_delay_ms=2.5, preload=False,
    )  # fmt: skip
    assert not repository.preloads("a")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param("slots = 0", "slots: Input should be greater", id="out of range"),
        pytest.param('slots = "8"', "slots: Input should be a valid integer", id="text"),
        pytest.param("slots = true", "slots: Input should be a valid integer", id="truth"),
        pytest.param("slotz = 8", "slotz: Extra inputs", id="unknown field"),
        pytest.param('precision = "int7"', "precision: Input should be 'fp32'", id="precision"),
        pytest.param("max_queue_delay_ms = nan", "max_queue_delay_ms", id="nan"),
        pytest.param("versions = [1, 7]", "versions: expected some of", id="missing version"),
        pytest.param("versions = []", "versions: expected some of", id="no version"),
        pytest.param('versions = "newest"', "versions", id="policy"),
        pytest.param("slots = ", "cannot be read as TOML", id="broken"),
        pytest.param('kind = "classify"', "holds no model.onnx", id="kind without its file"),
    ],
)
def test_a_wrong_config_names_file_and_field(
    put, repository: Repository, config: str, message: str
):
    folder = put("a/1", CHECKPOINT, config=config)

    with pytest.raises(ModelError, match=message) as refused:
        repository.versions("a")
    assert str(folder.parent) in str(refused.value)
    assert "config.toml" in str(refused.value) or "model.onnx" in str(refused.value)


def test_a_config_that_is_no_text_is_refused(tmp_path: Path):
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(ModelError, match=r"config\.toml: cannot be read"):
        read_config(tmp_path / "config.toml")


@pytest.mark.parametrize("name", ["../secret", "a/1", "", ".", "..", "b", ".git", "a\0"])
def test_only_what_the_folder_lists_is_a_model(put, repository: Repository, name: str):
    put("a/1", CHECKPOINT)

    with pytest.raises(NoSuchModelError, match="holds no model"):
        repository.versions(name)


@pytest.mark.parametrize("name", ["with space", "-rf", "naïve", "x" * 101, "a:1"])
def test_names_that_no_client_could_ask_for_are_refused(put, repository: Repository, name: str):
    put(f"{name}/1", CHECKPOINT)

    with pytest.raises(ModelError, match="expected a name of"):
        repository.versions(name)


@pytest.mark.parametrize("where", ["a", "a/1", "a/1/model.safetensors", "a/config.toml"])
def test_links_out_of_the_repository_are_refused(
    put, repository: Repository, tmp_path: Path, where: str
):
    outside = tmp_path / "outside"
    outside.mkdir()
    if where != "a":
        put("a/2" if where == "a/1" else "a/1", CHECKPOINT)
    (tmp_path / "models" / where).symlink_to(outside)

    with pytest.raises(ModelError, match="leads out of the repository"):
        repository.versions("a")


def test_links_within_the_repository_are_fine(put, repository: Repository, tmp_path: Path):
    put("a/1", CHECKPOINT)
    (tmp_path / "models" / "a" / "2").symlink_to("1")

    assert repository.versions("a")[0].version == 2


def test_a_model_without_versions_or_files_says_what_is_missing(
    put, repository: Repository, tmp_path: Path
):
    (tmp_path / "models" / "none").mkdir(parents=True)
    put("empty/1", {})

    with pytest.raises(ModelError, match="holds no version"):
        repository.versions("none")
    with pytest.raises(ModelError, match=r"no config\.json.* and no model\.onnx"):
        repository.versions("empty")


def test_a_broken_model_is_among_those_to_load_at_the_start(put, repository: Repository):
    put("a/1", CHECKPOINT, config="preload = 5")

    assert repository.preloads("a")


def test_a_repository_must_be_there(tmp_path: Path):
    with pytest.raises(ModelError, match="no such folder"):
        Repository(tmp_path / "nowhere")


def test_a_folder_alone_is_a_model_of_one_version(put):
    source = OneModel(put("a/1", CHECKPOINT), "mine/own")
    (one,) = source.versions("mine/own")

    assert (one.name, one.version, one.kind) == ("mine/own", 1, Kind.GENERATE)
    assert source.names() == ["mine/own"]
    assert source.preloads("mine/own")
    with pytest.raises(NoSuchModelError, match="is the model 'mine/own'"):
        source.versions("other")
