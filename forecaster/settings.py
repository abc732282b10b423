"""What is forecast: how far, in which steps, at which quantiles, from how much history."""

from dataclasses import dataclass

from forecaster.forecast import QUANTILES


@dataclass(frozen=True, slots=True)
class ForecastSettings:
    """How far is forecast, in which steps, and from how much history."""

    step_seconds: float
    season_steps: int  # steps of a day, or of what stands for one
    horizon_steps: int
    quantiles: tuple[float, ...] = QUANTILES
    history_seasons: int = 14
    paths: int = 200  # scenarios drawn; 0 draws none

    def __post_init__(self) -> None:
        if self.step_seconds <= 0 or min(self.season_steps, self.horizon_steps) < 1:
            raise ValueError(
                f"expected a step above 0 s, and a season and a horizon of at least one step, "
                f"got {self.step_seconds} s, {self.season_steps} and {self.horizon_steps}"
            )
        if self.history_seasons < 1 or self.paths < 0:
            raise ValueError(
                f"expected one season of history or more, and no negative number of paths, "
                f"got {self.history_seasons} and {self.paths}"
            )
        if list(self.quantiles) != sorted(set(self.quantiles)) or not all(
            0 < quantile < 1 for quantile in self.quantiles
        ):
            raise ValueError(
                f"expected rising quantiles between 0 and 1, got {list(self.quantiles)}"
            )

    @property
    def history_steps(self) -> int:
        """Steps of history that a forecast looks at."""
        return self.season_steps * self.history_seasons
