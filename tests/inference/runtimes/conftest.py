import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import inference.runtimes
from inference.runtimes.probe import probe_driver

PACKAGE = Path(inference.runtimes.__file__).parent


@pytest.fixture(scope="session")
def cuda_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A libcuda.so.1 whose device is the host's memory, the package's own kernel in it."""
    if probe_driver().version is not None:
        pytest.skip("a real driver is here, and one process cannot have two")
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++ to build the fake libcuda")
    library = tmp_path_factory.mktemp("cuda") / "libcuda.so.1"
    wanted = [
        "-x",
        "c++",
        "-O1",
        "-fPIC",
        "-shared",
        "-Wall",
        "-Werror",
        "-Wl,-soname,libcuda.so.1",
    ]
    source = Path(__file__).with_name("fake_cuda.c")
    command = [compiler, *wanted, "-I", str(PACKAGE), "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


@pytest.fixture
def cuda(cuda_library: Path) -> Iterator[ctypes.CDLL]:
    """The fake driver, loaded: whoever asks for libcuda.so.1 from now on gets it.

    It stays loaded, and shows no GPU to the tests that follow.
    """
    library = ctypes.CDLL(str(cuda_library))
    library.fake_reset()
    yield library
    library.fake_set_devices(0)
