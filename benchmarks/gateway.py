"""The gateway under load: what it adds, what it bears, and what it keeps of the capacity.

Client, gateway and replicas are processes of their own; replicas are simulated, at a pace that
is known beforehand, unless a row says otherwise. Added time is the difference between streams
through the gateway and streams straight to the same replica, open at the same time from the same
client. Work per core goes by CPU time of the process under test, which other work on the machine
changes less than wall time. Peers need not be installed where Warmfront is: `--peer-python`
names the Python that has the LiteLLM proxy, `--aiperf` the command.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway_load import goodput, latency, open_streams, throughput, with_aiperf
from report import Row, arguments, publish

Measure = Callable[[Path, argparse.Namespace], Iterator[Row]]
MEASURES: dict[str, Measure] = {
    "latency": lambda folder, ask: latency.measure(folder, quick=ask.quick),
    "throughput": lambda folder, ask: throughput.measure(
        folder, quick=ask.quick, peer_python=ask.peer_python
    ),
    "streams": lambda folder, ask: open_streams.measure(folder, quick=ask.quick),
    "goodput": lambda folder, ask: goodput.measure(folder, quick=ask.quick),
    "aiperf": lambda folder, ask: with_aiperf.measure(folder, quick=ask.quick, command=ask.aiperf),
}


def main() -> int:
    """Measure, and print."""
    parser = arguments(__doc__)
    parser.add_argument("--peer-python", help="Python that has litellm[proxy]; default: this one")
    parser.add_argument("--aiperf", help="the aiperf command; default: the one on the PATH")
    parser.add_argument("--only", choices=MEASURES, help="one measurement instead of all")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="warmfront-bench-") as scratch:
        for name in [options.only] if options.only else MEASURES:
            folder = Path(scratch) / name
            folder.mkdir()
            rows += MEASURES[name](folder, options)
    return publish(rows, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
