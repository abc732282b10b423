"""`python -m forecaster`: what `warmfront forecast` does, without the rest."""

import argparse
import sys
from collections.abc import Sequence

from forecaster.cli.arguments import add_actions, with_action


def main(argv: Sequence[str] | None = None) -> int:
    """Run one action; return its exit status: 0 done, 1 failed, 2 wrongly asked, 130 stopped."""
    parser = argparse.ArgumentParser(
        prog="forecaster", description="Forecast demand from a file or a Prometheus."
    )
    add_actions(parser)
    arguments = parser.parse_args(with_action(sys.argv[1:] if argv is None else argv))
    try:
        status: int = arguments.command(arguments)
    except KeyboardInterrupt:  # before the work had begun
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
