"""What a start must not pay for is not imported."""

import subprocess
import sys

import pytest


def _imported(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{statement}\nprint(*sys.modules)"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return {name.split(".")[0] for name in done.stdout.split()}


HEAVY = {"torch", "tensorrt", "kubernetes_asyncio", "pandas", "statsmodels", "sklearn", "scipy"}


@pytest.mark.parametrize(
    ("statement", "spared"),
    [
        pytest.param(
            "import warmfront.cli", HEAVY | {"aiohttp", "onnxruntime"}, id="command line"
        ),
        pytest.param("import warmfront.stack", HEAVY | {"onnxruntime", "onnx"}, id="daemon"),
        pytest.param("import inference.replica.command", HEAVY | {"plotly"}, id="replica"),
        pytest.param("import exporter.__main__", HEAVY | {"onnxruntime", "onnx"}, id="exporter"),
        pytest.param("import autoscaler.planner", HEAVY | {"aiohttp", "sqlite3"}, id="planner"),
    ],
)
def test_heavy_libraries_stay_out(statement: str, spared: set[str]):
    assert _imported(statement) & spared == set()
