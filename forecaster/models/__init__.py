"""Forecasting models behind one small contract."""
