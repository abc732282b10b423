"""Pictures of a forecast: what is drawn, and the two ways of drawing it."""
