"""The front door: command line, configuration, wiring and the one-machine stack."""
