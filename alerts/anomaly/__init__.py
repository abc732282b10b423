"""Anomaly scores with their bands."""
