import warnings

from forecaster.models.fitting import quietly


def test_a_warning_while_fitting_is_no_error() -> None:
    def fit() -> int:
        warnings.warn("has not converged", stacklevel=1)
        return 3

    assert quietly(fit, "any") == 3
