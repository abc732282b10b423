"""What happens in a step when memory ends: in a process whose memory is limited for real."""

import subprocess
import sys
from pathlib import Path

SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from inference.models.checkpoint import load_weights
from inference.models.spec import load_spec
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.runtime import Batch, RuntimeMemoryError

folder = Path(sys.argv[1])
spec = load_spec(folder)
runtime = OnnxRuntime()
runtime.load(spec, load_weights(folder, spec))
ROWS, LENGTH = 64, 256
runtime.allocate_kv(1 + ROWS * LENGTH // 16)

def batch(rows, length):
    positions = np.tile(np.arange(length), (rows, 1))
    tables = 1 + np.arange(rows * length // 16).reshape(rows, -1)
    slots = np.take_along_axis(tables, positions // 16, 1) * 16 + positions % 16
    return Batch(positions, positions, slots, tables, np.full(rows, length - 1))

small = runtime.step(batch(1, 16)).copy()
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**24, -1))
try:
    runtime.step(batch(ROWS, LENGTH))
except RuntimeMemoryError as error:
    print("short:", error)
print("goes on" if (runtime.step(batch(1, 16)) == small).all() else "computes something else")
"""


def test_a_step_that_memory_does_not_suffice_for_says_so_and_the_next_one_works(
    checkpoint: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, str(checkpoint)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "short: out of memory" in done.stdout, done.stderr[-2000:]
    assert done.stdout.endswith("goes on\n"), done.stderr[-2000:]
