"""The colours of a picture, told apart by people who see fewer of them, too."""

INK = "#1f2933"
PALE_INK = "#52606d"
FAINT = "#9aa5b1"
GRID = "#e4e7eb"
DEMAND = "#334e68"
FORECAST = "#0967d2"
ATTENTION = "#c65d07"
_FAN = ("#dceafb", "#b9d5f6", "#93bdf0", "#69a2e8")  # of the bands, the widest first


def fan_colour(place: int) -> str:
    """Return the colour of a band, darker for each one further in."""
    return _FAN[min(place, len(_FAN) - 1)]
