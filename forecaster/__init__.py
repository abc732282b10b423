"""Demand history in, quantiles of future demand out."""
