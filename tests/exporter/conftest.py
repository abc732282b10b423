import ctypes
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pynvml
import pytest


@pytest.fixture(scope="session")
def build_nvml(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile the fake driver library, with the given compiler flags, into a folder of its own."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc to build the fake libnvidia-ml")
    source = Path(__file__).with_name("fake_nvml.c")
    built: dict[tuple[str, ...], Path] = {}

    def build(*flags: str) -> Path:
        if flags not in built:
            library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
            wanted = ["-O1", "-fPIC", "-shared", "-Wall", "-Werror", *flags]
            subprocess.run([compiler, *wanted, "-o", library, source], check=True)
            built[flags] = library
        return built[flags]

    return build


@pytest.fixture
def load_nvml(build_nvml: Callable[..., Path]) -> Iterator[Callable[..., ctypes.CDLL]]:
    """Make `pynvml` use a fake driver library for one test."""

    def load(*flags: str) -> ctypes.CDLL:
        library = ctypes.CDLL(str(build_nvml(*flags)))
        library.fake_reset()
        pynvml.nvmlLib = library
        pynvml._nvmlGetFunctionPointer_cache.clear()
        return library

    yield load
    pynvml.nvmlLib = None
    pynvml._nvmlGetFunctionPointer_cache.clear()


@pytest.fixture
def nvml(load_nvml: Callable[..., ctypes.CDLL]) -> ctypes.CDLL:
    return load_nvml()
