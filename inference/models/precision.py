"""In which numbers a model's matrices are kept, and how attention reaches its keys and values."""

from enum import StrEnum


class Precision(StrEnum):
    """Number format of the weights that a graph carries."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"  # weights only, in blocks, by DequantizeLinear
    INT8_STATIC = "int8-static"  # weights and activations, by scales from calibration
    INT4 = "int4"  # weights only, with 4 bits
    FP8 = "fp8"  # weights and activations, E4M3 by QuantizeLinear and DequantizeLinear


class Lowering(StrEnum):
    """How one decoder's attention is written in ONNX; all compute the same."""

    PAGED = "paged"  # pools of blocks, gathered by block table, updated in place
    HOSTKV = "hostkv"  # pools of blocks that are only read: the runtime appends keys and values
    ROWS = "rows"  # one row per sequence, plain products over as much of it as is in use
    GQA = "gqa"  # one row per sequence, ONNX Runtime's GroupQueryAttention
    KVUPDATE = "kvupdate"  # one row per sequence, TensorScatter and Attention with a mask

    @property
    def is_paged(self) -> bool:
        """Whether a sequence's KV lies in blocks, rather than in one row of full length."""
        return self in (Lowering.PAGED, Lowering.HOSTKV)
