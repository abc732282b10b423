"""The bounds of settings, checked with a message that says what was expected and what was seen."""


def above_zero(**dials: float) -> None:
    """Raise ValueError unless every dial is above 0."""
    for name, value in dials.items():
        if not value > 0:
            raise ValueError(f"routing setting {name} must be above 0, got {value}")


def not_negative(**dials: float) -> None:
    """Raise ValueError unless every dial is 0 or more."""
    for name, value in dials.items():
        if not value >= 0:
            raise ValueError(f"routing setting {name} must not be negative, got {value}")


def shares(**dials: float) -> None:
    """Raise ValueError unless every dial is a share, from 0 to 1."""
    for name, value in dials.items():
        if not 0 <= value <= 1:
            raise ValueError(f"routing setting {name} must be from 0 to 1, got {value}")
