"""The engine against its peers, on the same random weights, with one thread each.

Every subject runs in a process of its own and stays up; the rounds go round all of them, so
that whatever else the machine does meets them alike. Peers need not be installed where
Warmfront is: `--peer-python` names the Python that has them. A ratio is the median over the
rounds of how many times as fast Warmfront is as the peer (transformers' continuous batching, which
takes minutes, is measured in the first round only). Ours are the `paged` lowering, the
default, for batch 1, and `rows`, made for many long sequences, for the rest.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))
from peers import checkpoint
from peers.client import MissingError, Process
from report import Row, arguments, publish

CONTEXT = 512
BATCHES = (1, 8, 32)
ROWS = {"fp32": "rows-fp32", "INT8": "rows-int8"}
PAGED = {"fp32": "paged-fp32", "INT8": "paged-int8"}
OTHERS = ("gqa-fp32", "gqa-int8")  # for information
OUR_STEPS = 64  # among them one that makes room for longer rows: the mean counts it


@dataclass(frozen=True)
class Peer:
    """A peer, the precision of ours that it is held against, and the bars: times as fast."""

    name: str
    script: str
    variant: str
    against: str
    batch_32: float | None = None
    batch_1: float | None = None
    is_slow: bool = False


PEERS = (
    Peer("onnxruntime-genai", "onnxruntime_genai_generator.py", "fp32", "fp32", 1.15),
    Peer("llama.cpp F32", "llama_cpp_batch.py", "F32", "fp32", 1.3),
    Peer("llama.cpp Q8_0", "llama_cpp_batch.py", "Q8_0", "INT8", 1.3, batch_1=1.0),
    Peer("transformers static generate", "transformers_generate.py", "static", "fp32", 1.3),
    Peer(
        "transformers continuous",
        "transformers_generate.py",
        "continuous",
        "fp32",
        3.0,
        is_slow=True,
    ),
    Peer(
        "transformers continuous, cache sized by hand",
        "transformers_generate.py",
        "continuous-sized",
        "fp32",
        is_slow=True,
    ),
)
PREFILL_BAR = 1.3

Times = dict[tuple[str, str], list[float]]  # (subject, measurement): seconds of each round


def main() -> int:
    """Measure, and print."""
    parser = arguments(__doc__)
    parser.add_argument("--peer-python", default=sys.executable, help="that has the peers")
    parser.add_argument("--rounds", type=int, help="default: 3, or 1 with --quick")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    with tempfile.TemporaryDirectory(prefix="warmfront-bench-") as scratch, ExitStack() as stack:
        folder = checkpoint.write(Path(scratch) / "model")
        subjects, missing = _start(stack, folder, options.peer_python)
        times = _measure(subjects, rounds, steps=8 if options.quick else 24)
        rows = [
            *_against_peers(times, missing),
            *_speeds(times),
            *_roofline(stack, folder, times),
            *_own(stack, folder, quick=options.quick),
        ]
    return publish(rows, as_json=options.json)


def _start(
    stack: ExitStack, folder: Path, peer_python: str
) -> tuple[dict[str, Process], dict[str, str]]:
    """Start every subject; return those that run, and why others do not."""
    ours = {
        f"Warmfront {variant}": (sys.executable, "warmfront_engine.py", variant)
        for variant in (*ROWS.values(), *PAGED.values(), *OTHERS)
    }
    peers = {peer.name: (peer_python, peer.script, peer.variant) for peer in PEERS}
    running, missing = {}, {}
    for name, (python, script, variant) in (ours | peers).items():
        try:
            running[name] = stack.enter_context(Process(python, script, folder, variant))
        except MissingError as error:
            missing[name] = str(error)
    return running, missing


def _measure(subjects: Mapping[str, Process], rounds: int, *, steps: int) -> Times:
    times: Times = {}
    slow = {peer.name for peer in PEERS if peer.is_slow}
    for number in range(rounds):
        timed = {name: one for name, one in subjects.items() if not number or name not in slow}
        for batch in BATCHES:
            for name, subject in timed.items():
                own = OUR_STEPS if name.startswith("Warmfront") else steps
                seconds = subject.measure("decode", batch=batch, context=CONTEXT, steps=own)
                times.setdefault((name, f"decode {batch}"), []).append(seconds)
        for name, subject in timed.items():
            seconds = subject.measure("prefill", tokens=CONTEXT)
            times.setdefault((name, "prefill"), []).append(seconds)
    return times


def _against_peers(times: Times, missing: Mapping[str, str]) -> Iterator[Row]:
    for peer in PEERS:
        if peer.name in missing:
            yield Row(f"not measured: {missing[peer.name]}", peer.name, float("nan"), "")
            continue
        bars = {"decode 1": peer.batch_1, "decode 32": peer.batch_32}
        for what in ("decode 1", "decode 8", "decode 32", "prefill"):
            ours = (PAGED if what == "decode 1" else ROWS)[peer.against]
            ratio = _ratio(times, f"Warmfront {ours}", peer.name, what)
            bar = PREFILL_BAR if what == "prefill" else bars.get(what)
            subject = f"{ours} / {peer.name}"
            yield Row(f"{what}, times as fast", subject, ratio, "x", bar, at_least=True)


def _ratio(times: Times, ours: str, peer: str, what: str) -> float:
    pairs = zip(times[peer, what], times[ours, what], strict=False)  # a slow one's first round
    return median(theirs / own for theirs, own in pairs)


def _speeds(times: Times) -> Iterator[Row]:
    """What the ratios are made of: tokens per second of one thread."""
    for (name, what), seconds in times.items():
        tokens = CONTEXT if what == "prefill" else int(what.split()[1])
        yield Row(f"{what}, context {CONTEXT}", name, tokens / median(seconds), "tokens/s")


def _roofline(stack: ExitStack, folder: Path, times: Times) -> Iterator[Row]:
    """How near fp32 comes to what bandwidth and arithmetic of this machine allow."""
    machine = stack.enter_context(Process(sys.executable, "machine.py", folder, ""))
    config, kept = checkpoint.CONFIG, 4 * checkpoint.parameters()
    token = 2 * 4 * config["num_hidden_layers"] * config["num_key_value_heads"] * 64
    for batch, bar in ((1, 0.75), (8, None), (32, 0.6)):
        cached = batch * CONTEXT * token
        weights = kept / machine.measure("bandwidth", size=kept)
        compute = 2 * batch * checkpoint.parameters() / _gemm(machine, batch)
        bound = max(weights, compute) + cached / machine.measure("bandwidth", size=cached)
        yield from _share(times, f"decode {batch}", bound, bar)
    inside = checkpoint.parameters() - config["vocab_size"] * config["hidden_size"]
    attention = 2 * CONTEXT**2 * config["hidden_size"] * config["num_hidden_layers"]
    bound = (2 * CONTEXT * inside + attention) / _gemm(machine, CONTEXT)
    yield from _share(times, "prefill", bound, 0.75)


def _gemm(machine: Process, rows: int) -> float:
    return machine.measure("gemm", rows=rows, inputs=384, outputs=1024)


def _share(times: Times, what: str, bound: float, bar: float | None) -> Iterator[Row]:
    barred = PAGED["fp32"] if what == "decode 1" else ROWS["fp32"]
    for variant in (ROWS["fp32"], PAGED["fp32"]):
        share = bound / min(times[f"Warmfront {variant}", what])
        own = bar if variant == barred else None
        yield Row(f"{what}, share of the roofline", variant, share, "", own, at_least=True)


def _own(stack: ExitStack, folder: Path, *, quick: bool) -> Iterator[Row]:
    """What needs no peer: overhead, the pool, waste, prefixes, policies."""
    paged, rows = (
        stack.enter_context(Process(sys.executable, "warmfront_engine.py", folder, variant))
        for variant in (PAGED["INT8"], ROWS["INT8"])
    )
    steps = 16 if quick else 64
    for name, subject in (("paged-int8", paged), ("rows-int8", rows)):
        seconds = _repeat(
            lambda one=subject: one.measure("overhead", batch=32, context=CONTEXT, steps=steps)
        )
        yield Row("overhead per iteration, batch 32", name, 1e3 * seconds, "ms", 0.3)
    yield Row("step with 4 x the pool, over 1 x", "paged-int8", _pool(paged, steps), "x", 1.05)
    waste = paged.measure("waste", batch=32, context=CONTEXT)
    yield Row("KV slots that hold nothing", "paged-int8", 100 * waste, "%", 4)
    hit = paged.measure("prefix_hit", tokens=CONTEXT)
    yield Row("time to first token on a prefix hit, over a miss", "paged-int8", hit, "x", 0.2)
    yield from _policies(paged, quick=quick)


def _repeat(measure: Callable[[], float], count: int = 5) -> float:
    return median(measure() for _ in range(count))


def _pool(subject: Process, steps: int) -> float:
    """Return how a step's time changes with the pool's size, alternating the two."""
    ask = {"batch": 16, "context": CONTEXT, "steps": steps}
    pairs = [
        (subject.measure("decode", **ask, pool=1), subject.measure("decode", **ask, pool=4))
        for _ in range(7)
    ]
    return median(large / small for small, large in pairs)


def _policies(subject: Process, *, quick: bool) -> Iterator[Row]:
    """The most output each policy gives at the same TTFT p95, under mixed Poisson arrivals."""
    requests = 100 if quick else 200
    saturated = subject.measure("serve", policy="static", rate=100.0, requests=requests)
    near = subject.measure("serve", policy="static", rate=4.0, requests=requests)
    bar = near["ttft_p95"]
    static = _most(subject, "static", bar, requests)
    continuous = _most(subject, "continuous", bar, requests)
    most = saturated["tokens_per_second"]
    yield Row("static batching, all requests at once", "paged-int8", most, "tokens/s")
    yield Row("TTFT p95 that both are held to", "paged-int8", bar, "s")
    yield Row("output at that TTFT p95", "static batching", static, "tokens/s")
    yield Row("output at that TTFT p95", "continuous batching", continuous, "tokens/s")
    yield Row("continuous over static", "paged-int8", continuous / static, "x", 2, at_least=True)


def _most(subject: Process, policy: str, ttft_p95: float, requests: int) -> float:
    """Return the most output tokens per second at a rate whose TTFT p95 is within the bar."""
    low, high, best = 1.0, 64.0, 0.0
    for _ in range(6):
        rate = (low * high) ** 0.5
        seen = subject.measure("serve", policy=policy, rate=rate, requests=requests)
        if seen["ttft_p95"] <= ttft_p95:
            low, best = rate, max(best, seen["tokens_per_second"])
        else:
            high = rate
    return best


if __name__ == "__main__":
    sys.exit(main())
