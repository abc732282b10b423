"""What the documentation says follows from the code, and its links lead somewhere."""

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from warmfront.config import Config, check_config

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_up_to_date(generate: ModuleType):
    for name, text in generate.pages().items():
        assert (ROOT / "docs" / name).read_text() == text, f"{name}: run make generate"


def test_the_settings_page_is_a_file_of_the_defaults(generate: ModuleType):
    toml = generate.settings_page().split("```toml\n")[1].split("```")[0]

    assert check_config(tomllib.loads(toml), where="docs/settings.md") == Config()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_files_lead_somewhere(page: Path):
    targets = re.findall(r"\]\(([^)#]+)", page.read_text())
    local = [target for target in targets if "://" not in target]

    assert [target for target in local if not (page.parent / target).exists()] == []


def test_the_readme_is_one_screen_and_names_real_targets():
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()

    assert len(text.splitlines()) <= 70
    for target in re.findall(r"`make ([a-z]+)`", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
