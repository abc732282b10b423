"""Forecasts held against other projects' at the same moments of the same series."""
