"""Which runtime a name stands for, those of other packages included."""

from collections.abc import Callable, Iterable, Mapping
from importlib import metadata

import structlog

from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.onnx_session import Provider
from inference.runtimes.probe import DriverState, probe_driver
from inference.runtimes.runtime import (
    Runtime,
    RuntimeFailedError,
    RuntimeMissingError,
    RuntimeSettings,
)

ENTRY_POINTS = "warmfront.runtimes"  # group of `name = "module:factory"`, a RuntimeFactory each
AUTO = "auto"

RuntimeFactory = Callable[[RuntimeSettings], Runtime]

_log = structlog.get_logger(__name__)


def choose_runtime(
    name: str,
    settings: RuntimeSettings,
    *,
    probe: Callable[[], DriverState] = probe_driver,
    others: Iterable[metadata.EntryPoint] | None = None,
) -> Runtime:
    """Make the runtime of a name; `auto` takes the fastest that this machine has.

    Raises RuntimeMissingError where the name, its library or its device is not there.
    """
    if name == AUTO:
        name = fastest(probe(), settings)
    if name in _OWN:
        return _OWN[name](settings)
    found = _others(others)
    if name not in found:
        known = ", ".join([AUTO, *_OWN, *sorted(found)])
        raise RuntimeMissingError(
            f"there is no runtime {name!r}, only {known}; a package brings its own by an entry "
            f"point in the group {ENTRY_POINTS}"
        )
    return _made(found[name], settings)


def fastest(
    driver: DriverState,
    settings: RuntimeSettings,
    *,
    tests: Mapping[str, Callable[[RuntimeSettings, DriverState], None]] | None = None,
) -> str:
    """Return the first of TensorRT, TensorRT for RTX and ONNX Runtime that can run here."""
    for name, test in (_TESTS if tests is None else tests).items():
        try:
            driver.gpu(settings.device)
            test(settings, driver)
        except (RuntimeMissingError, RuntimeFailedError) as error:
            _log.info("runtime passed over", runtime=name, why=str(error))
        else:
            return name
    return "onnx"


def _tensorrt(settings: RuntimeSettings) -> Runtime:
    from inference.runtimes.tensorrt import TensorRTRuntime  # noqa: PLC0415 - seldom used

    return TensorRTRuntime(settings, library="tensorrt")


def _tensorrt_rtx(settings: RuntimeSettings) -> Runtime:
    from inference.runtimes.tensorrt import TensorRTRuntime  # noqa: PLC0415 - seldom used

    return TensorRTRuntime(settings, library="tensorrt_rtx")


def _has_tensorrt(settings: RuntimeSettings, driver: DriverState) -> None:
    _has_library("tensorrt", settings, driver)


def _has_tensorrt_rtx(settings: RuntimeSettings, driver: DriverState) -> None:
    _has_library("tensorrt_rtx", settings, driver)


def _has_library(library: str, settings: RuntimeSettings, driver: DriverState) -> None:
    from inference.runtimes.tensorrt_graph import check_lowering  # noqa: PLC0415 - seldom used
    from inference.runtimes.tensorrt_library import load_library  # noqa: PLC0415 - seldom used

    check_lowering(settings.lowering)
    load_library(library).require(driver.gpu(settings.device))


def _has_onnx_cuda(settings: RuntimeSettings, _: DriverState) -> None:
    OnnxRuntime(settings, provider=Provider.CUDA)


_OWN: dict[str, RuntimeFactory] = {
    "onnx": OnnxRuntime,
    "onnx-cuda": lambda settings: OnnxRuntime(settings, provider=Provider.CUDA),
    "tensorrt": _tensorrt,
    "tensorrt-rtx": _tensorrt_rtx,
}
_TESTS: dict[str, Callable[[RuntimeSettings, DriverState], None]] = {
    "tensorrt": _has_tensorrt,
    "tensorrt-rtx": _has_tensorrt_rtx,
    "onnx-cuda": _has_onnx_cuda,
}


def _others(given: Iterable[metadata.EntryPoint] | None) -> dict[str, metadata.EntryPoint]:
    points = metadata.entry_points(group=ENTRY_POINTS) if given is None else given
    return {point.name: point for point in points}


def _made(point: metadata.EntryPoint, settings: RuntimeSettings) -> Runtime:
    try:
        runtime: Runtime = point.load()(settings)
    except (RuntimeMissingError, RuntimeFailedError):
        raise
    except Exception as error:  # somebody else's code
        raise RuntimeMissingError(
            f"the runtime {point.name!r} cannot be made by {point.value}: {error}"
        ) from error
    return runtime
