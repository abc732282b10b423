import subprocess
import sys

import numpy as np
import pytest

from inference.replica.process import age_seconds, give_back_free_memory, resident_bytes

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@ON_LINUX
def test_a_process_knows_its_age():
    code = (
        "import time; time.sleep(0.3); from inference.replica.process import age_seconds; "
        "print(age_seconds())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert 0.29 < float(done.stdout) < 60


@ON_LINUX
def test_age_grows():
    first, second = age_seconds(), age_seconds()

    assert 0 < first <= second


def test_what_is_used_is_resident_and_stays_so():
    used = np.ones(4_000_000)
    give_back_free_memory()

    assert resident_bytes() > used.nbytes
    assert used.sum() == len(used)
