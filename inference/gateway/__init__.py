"""The front of the serving tier: one address, many replicas."""
