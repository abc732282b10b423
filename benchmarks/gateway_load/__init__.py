"""The parts of the gateway's benchmark: load, simulated replicas, and one file per measurement."""
