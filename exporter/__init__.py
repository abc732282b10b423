"""GPU truth: devices as Prometheus metrics."""
