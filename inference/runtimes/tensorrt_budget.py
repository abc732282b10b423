"""Device memory, added up before any of it is taken."""

from inference.runtimes.engines import Engine
from inference.runtimes.runtime import RuntimeFailedError
from inference.runtimes.tensorrt_calls import inputs_bytes, outputs_bytes
from inference.runtimes.tensorrt_graph import DecoderGraph

_GIBIBYTE = 1 << 30


def fixed_bytes(graph: DecoderGraph, weights: int, scratch: int) -> int:
    """Return the device memory that does not depend on the number of KV blocks."""
    return weights + scratch + inputs_bytes(graph) + outputs_bytes(graph)


def check_fits(budget: int, graph: DecoderGraph, weights: int, scratch: int) -> None:
    """Refuse a model whose weights and activations pass the budget."""
    needed = fixed_bytes(graph, weights, scratch)
    if needed > budget:
        raise RuntimeFailedError(
            f"the model does not fit: {_gib(weights)} of weights and {_gib(needed - weights)} of "
            f"activations, of {_gib(budget)} that may be used; choose int8 or int4, smaller "
            "shapes, or a larger memory budget"
        )


def check_blocks(budget: int, graph: DecoderGraph, engine: Engine, blocks: int) -> None:
    """Refuse more KV than the budget leaves room for."""
    fixed = fixed_bytes(graph, engine.weights_bytes, engine.scratch_bytes)
    wanted = blocks * graph.kv.block_bytes
    if fixed + wanted > budget:
        fit = max(0, (budget - fixed) // graph.kv.block_bytes)
        raise RuntimeFailedError(
            f"{blocks} KV blocks do not fit: {_gib(wanted)} of KV beside {_gib(fixed)} of weights "
            f"and activations, of {_gib(budget)} that may be used; {fit} blocks would fit"
        )


def _gib(size: int) -> str:
    return f"{size / _GIBIBYTE:.2f} GiB"
