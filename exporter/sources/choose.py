"""Which source a machine has: its GPUs where a driver answers, simulated ones elsewhere."""

from collections.abc import Callable

import structlog

from exporter.sources.nvml import NvmlSource
from exporter.sources.source import Source, SourceError

_log = structlog.get_logger(__name__)


def open_gpus() -> Source:
    """Connect to the machine's GPUs, or raise `SourceError` where there is none."""
    source = NvmlSource()
    if source.read():
        return source
    source.close()
    raise SourceError("the NVIDIA driver answers, but lists no GPU")


def choose_source(
    simulated: Callable[[], Source], *, gpus: Callable[[], Source] = open_gpus
) -> Source:
    """Return the machine's GPUs, or simulated ones where it has none."""
    try:
        source = gpus()
    except SourceError as error:
        source = simulated()
        _log.info("GPUs are simulated", source=source.name, why=str(error))
        return source
    _log.info("GPUs are real", source=source.name)
    return source
