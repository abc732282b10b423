"""Where readings come from: NVML, or a simulation that says so."""
