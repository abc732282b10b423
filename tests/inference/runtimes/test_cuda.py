"""The device layer through NVIDIA's own bindings, against a driver whose device is the host."""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inference.runtimes.cuda import CudaDevice, compile_kernel
from inference.runtimes.device import Append, BandCopy, Device
from inference.runtimes.host_device import HostDevice
from inference.runtimes.probe import Gpu
from inference.runtimes.runtime import RuntimeFailedError

GPU = Gpu(0, "Fake L4 0", (8, 9), 1 << 24)

pytest.importorskip(
    "cuda.bindings.driver", reason="needs cuda-bindings: pip install cuda-bindings"
)


@pytest.fixture(params=["the host", "CUDA"])
def device(request: pytest.FixtureRequest) -> Device:
    if request.param == "the host":
        return HostDevice()
    request.getfixturevalue("cuda")
    return CudaDevice(GPU)


def put(device: Device, array: np.ndarray) -> int:
    address = device.allocate(array.nbytes)
    device.copy_in(address, np.ascontiguousarray(array))
    return address


def read(device: Device, address: int, like: np.ndarray) -> np.ndarray:
    target = np.empty_like(like)
    device.copy_out(target, address)
    device.synchronize()
    return target


def test_fresh_memory_is_zero_and_aligned(device: Device):
    address = device.allocate(1000)

    assert address % 256 == 0
    assert not read(device, address, np.ones(1000, np.uint8)).any()


def test_what_goes_in_comes_out(device: Device):
    array = np.arange(12.0).reshape(3, 4)

    np.testing.assert_array_equal(read(device, put(device, array), array), array)


def test_bands_are_copied_by_their_pitches(device: Device):
    source = np.arange(32, dtype=np.uint8).reshape(4, 8)
    target = np.zeros((4, 10), np.uint8)
    where = put(device, target)
    device.copy_bands(BandCopy(put(device, source) + 2, 8, where + 1, 10, width=3, height=4))
    target[:, 1:4] = source[:, 2:5]

    np.testing.assert_array_equal(read(device, where, target), target)


def test_captured_work_runs_at_each_launch_and_not_before(device: Device):
    source = device.host_bytes(4)
    address = device.allocate(4)
    captured = device.capture(lambda: device.copy_in(address, source))
    source[:] = 7

    assert read(device, address, source).tolist() == [0] * 4
    captured.launch()
    assert read(device, address, source).tolist() == [7] * 4
    source[:] = 9
    captured.launch()
    assert read(device, address, source).tolist() == [9] * 4
    captured.close()


def test_a_capture_that_fails_leaves_the_stream_usable(device: Device):
    def work() -> None:
        raise RuntimeFailedError("not while capturing")

    with pytest.raises(RuntimeFailedError, match="not while capturing"):
        device.capture(work)

    assert read(device, put(device, np.ones(3)), np.zeros(3)).tolist() == [1] * 3


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("head_dim", [2, 16, 320], ids=lambda size: f"head_dim {size}")
def test_appended_rows_land_in_their_slots_and_nowhere_else(
    device: Device, kind: type[np.floating], head_dim: int
):
    rng = np.random.default_rng(4)
    rows, heads, tokens, head_slots = 3, 2, 5, 40
    pools = rng.standard_normal((2, heads, head_slots, head_dim)).astype(kind)
    fresh = rng.standard_normal((2, rows, heads, tokens, head_dim)).astype(kind)
    slots = rng.permutation(head_slots)[: rows * tokens].reshape(rows, tokens).astype(np.int32)
    addresses = [put(device, one) for one in (*pools, *fresh)]
    device.append_kv(
        Append(
            tables=put(device, np.array(addresses, np.uint64)),
            slots=put(device, slots),
            pools=len(pools),
            rows=rows,
            heads=heads,
            tokens=tokens,
            head_slots=head_slots,
            row_bytes=head_dim * np.dtype(kind).itemsize,
        )
    )
    expected = pools.copy()
    for pool, new in zip(expected, fresh, strict=True):
        pool[:, slots] = new.transpose(1, 0, 2, 3)
    found = [read(device, at, one) for at, one in zip(addresses, pools, strict=False)]

    np.testing.assert_array_equal(found, expected)


def test_memory_that_is_not_there_is_refused(cuda: ctypes.CDLL):
    with pytest.raises(RuntimeFailedError, match=r"cuMemAlloc failed on GPU 0.*OUT_OF_MEMORY"):
        CudaDevice(GPU).allocate(1 << 30)


def test_another_thread_must_enter_first(cuda: ctypes.CDLL, in_thread: Callable[..., object]):
    device = CudaDevice(GPU)

    with pytest.raises(RuntimeFailedError, match="INVALID_CONTEXT"):
        in_thread(lambda: device.allocate(8))
    assert in_thread(lambda: (device.enter(), device.allocate(8))[1])


@pytest.fixture
def in_thread() -> Callable[..., object]:
    return lambda work: ThreadPoolExecutor(1).submit(work).result()


def test_all_that_was_taken_is_given_back(cuda: ctypes.CDLL):
    before = cuda.fake_alive()
    device = CudaDevice(GPU)
    device.release(device.allocate(10))
    device.release_host(device.host_bytes(10))
    device.close()

    assert cuda.fake_alive() == before


@pytest.mark.parametrize("architecture", [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)])
def test_the_kernel_compiles_for_every_architecture(architecture: tuple[int, int]):
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs cuda-bindings")
    image = compile_kernel("append_kv", architecture)

    assert image[:4] == b"\x7fELF"
    assert b"append_kv" in image
