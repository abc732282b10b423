"""Rollouts: two versions of a model side by side, until one has proved itself."""
