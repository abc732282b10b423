"""Making models smaller, with proof of what it costs."""
