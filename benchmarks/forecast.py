"""The forecaster against its peers: how near, how well calibrated, how cheap, and what it saves.

Everybody forecasts the same series at the same random origins. Losses are told over the daily
seasonal naive's, as geometric means over the series; brackets hold what 95 % of runs with origins
drawn again would show, and what is within noise is named as such. Peers need not be installed
where Warmfront is: `--peer-python` names the Python that has statsforecast, statsmodels, Prophet
and pmdarima; `--keep` a folder for their answers, which take long. CPU time is that of one thread.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from forecasting import accuracy, fleet, grids, ours, pool
from report import Row, arguments, publish

MEASURES: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "minutes": accuracy.minutes,
    "windows": accuracy.windows,
    "pool": pool.measure,
    "fleet": fleet.measure,
}


def main() -> int:
    """Measure, and print."""
    parser = arguments(__doc__)
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        default=os.environ.get("WARMFRONT_DATA"),
        help="with series as .csv or .csv.gz; default: what WARMFRONT_DATA names",
    )
    parser.add_argument("--peer-python", default=sys.executable, help="Python that has the peers")
    parser.add_argument("--origins", type=int, default=64, help="moments forecast, of each series")
    parser.add_argument("--seed", type=int, default=7, help="by which they are drawn")
    parser.add_argument("--only", choices=MEASURES, help="one measurement instead of all")
    parser.add_argument("--keep", metavar="DIR", help="where the peers' answers are kept")
    options = parser.parse_args()
    ours.one_thread()
    if options.folder is None:
        told = "not measured: neither a FOLDER nor WARMFRONT_DATA names series"
        return publish([Row(told, "Warmfront", float("nan"), "")], as_json=options.json)
    rows: list[Row] = []
    for name in [options.only] if options.only else MEASURES:
        rows += MEASURES[name](options)
    if options.json:
        return publish(rows, as_json=True)
    grids.show(rows)
    return publish(grids.without_grids(rows), as_json=False)


if __name__ == "__main__":
    sys.exit(main())
