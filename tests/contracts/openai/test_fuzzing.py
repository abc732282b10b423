"""Requests that OpenAI's schema allows, and such as it does not, made up by schemathesis."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.openai.document import (
    CHAT,
    EMBEDDINGS,
    TEXT,
    cheap,
    of_file,
    of_types,
    served,
)

pytest.importorskip("schemathesis", reason="schemathesis is not installed (extra: test)")

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)
EXAMPLES = 25
OFFICIAL = os.environ.get("OPENAI_OPENAPI")


@pytest.fixture(params=["types", "file"], scope="module")
def document(request):
    """OpenAI's API, as its client has it and as its own document has it."""
    if request.param == "types":
        return of_types()
    if OFFICIAL is None:
        pytest.skip("OPENAI_OPENAPI names no copy of OpenAI's official OpenAPI file")
    return of_file(Path(OFFICIAL))


async def test_what_is_served_is_answered_as_published(document, gateway, tmp_path):
    await fuzz(
        served(document), gateway.url, tmp_path,
        "--phases", "fuzzing", "--mode", "positive", "--max-examples", str(EXAMPLES),
        "--checks", f"{CHECKS},positive_data_acceptance",
    )  # fmt: skip

    for path in (CHAT, TEXT, EMBEDDINGS):
        assert gateway.answers[path, 200] >= EXAMPLES


async def test_whatever_is_asked_is_answered_as_published(document, gateway, tmp_path):
    await fuzz(
        cheap(document), gateway.url, tmp_path,
        "--phases", "coverage", "--checks", CHECKS,
    )  # fmt: skip

    for path in (CHAT, TEXT, EMBEDDINGS):
        assert gateway.answers[path, 400]


async def fuzz(document, url, folder, *options):
    (folder / "api.json").write_text(json.dumps(document))
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"), "run", "api.json", "--url", url,
        *options, "--generation-deterministic",
        "--suppress-health-check", "all", "--request-timeout", "5", "--no-color",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
    )  # fmt: skip
    told, _ = await process.communicate()

    assert process.returncode == 0, told.decode()[-6000:]
