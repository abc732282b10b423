"""Why a model was not made smaller."""


class CompressionError(ValueError):
    """Nothing was written; the message says what was wrong and what to do."""


class QualityLossError(CompressionError):
    """The smaller model is worse than was allowed."""
