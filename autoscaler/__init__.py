"""Observe, forecast, plan, act."""
