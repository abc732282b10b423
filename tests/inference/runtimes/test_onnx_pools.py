import numpy as np

from inference.models.spec import ModelSpec
from inference.runtimes.onnx_memory import HostMemory
from inference.runtimes.onnx_pools import HostKvCache


def test_room_for_new_keys_and_values_does_not_grow_with_the_shapes_that_were_seen(
    spec: ModelSpec,
):
    memory = HostMemory(np.dtype(np.float32))
    cache = HostKvCache(spec, memory, blocks=4, block_size=8, weight_bytes=0)
    first = cache.outputs((2, 16))

    for place in ((1, 1), (32, 1), (3, 10)):
        for before, now in zip(first, cache.outputs(place), strict=True):
            assert np.shares_memory(before.host, now.host)
    assert cache.outputs((4, 16))[0].host.shape == (4, spec.kv_heads, 16, spec.head_dim)
