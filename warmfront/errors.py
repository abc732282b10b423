"""What can go wrong at the front door, each with a message for people."""


class WarmfrontError(Exception):
    """Something that the person at the terminal can mend; its text says what and how."""


class ConfigError(WarmfrontError):
    """A setting is missing, mistyped or contradicts another."""


class StackError(WarmfrontError):
    """The stack could not start or stay up: a port is taken, another daemon runs."""
