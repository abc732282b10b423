"""Demand series: what was asked of a model, from stores, files and logs, with gaps explicit."""
