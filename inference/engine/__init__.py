"""Iteration-level continuous batching over a runtime."""
