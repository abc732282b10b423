"""`warmfront models`: its arguments, and which function answers each action."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from warmfront.errors import WarmfrontError

Arguments = argparse.Namespace

_TEXT = "UTF-8 text like what the model is used for; a part of it is held out to judge by"


def add_models(commands: Any, root: Callable[[Arguments], Path]) -> None:
    """Add the command; `root` tells where the repository is, if nothing is said."""
    parser = commands.add_parser("models", help="keep models, judge them, make them smaller")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_list(actions, root)
    _add_import(actions, root)
    _add_verify(actions)
    _add_bench(actions)
    _add_quantize(actions)
    _add_prune(actions)
    _add_distill(actions)


def _add_list(actions: Any, root: Callable[[Arguments], Path]) -> None:
    parser = actions.add_parser("list", help="list the models of a repository")
    _add_repository(parser)
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.set_defaults(command=lambda one: _list(one, root(one)))


def _add_import(actions: Any, root: Callable[[Arguments], Path]) -> None:
    parser = actions.add_parser("import", help="verify a model and copy it into a repository")
    parser.add_argument("source", type=Path, metavar="FOLDER", help="a Hugging Face or ONNX model")
    _add_repository(parser)
    parser.add_argument("--name", help="of the model (default: the folder's)")
    parser.add_argument(
        "--version", type=int, metavar="N", help="of the model (default: one above the newest)"
    )
    parser.set_defaults(command=lambda one: _import(one, root(one)))


def _add_verify(actions: Any) -> None:
    parser = actions.add_parser("verify", help="say what is wrong with a model's files")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a Hugging Face or ONNX model")
    parser.set_defaults(command=_verify)


def _add_bench(actions: Any) -> None:
    parser = actions.add_parser("bench", help="time a model: prefill and decode")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="in Hugging Face's format")
    parser.add_argument("--runtime", default="onnx", metavar="NAME", help="(default: onnx)")
    parser.add_argument(
        "--lowering", default="paged", metavar="NAME", help="of attention (default: paged)"
    )
    parser.add_argument(
        "--precision", action="append", metavar="NAME",
        help="may be given several times (default: as the runtime would)",
    )  # fmt: skip
    parser.add_argument("--threads", type=_count, default=1, help="of the CPU (default: 1)")
    parser.add_argument(
        "--prompt", type=_count, default=128, metavar="TOKENS", help="(default: 128)"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.set_defaults(command=_bench)


def _add_quantize(actions: Any) -> None:
    parser = actions.add_parser("quantize", help="keep a model in fewer bits")
    _add_smaller(parser)
    parser.add_argument(
        "--to", required=True, choices=("int8", "int8-static", "int4", "fp8"), dest="precision",
        help="int8 and int4 round weights; int8-static and fp8 activations, too",
    )  # fmt: skip
    parser.set_defaults(command=_quantize)


def _add_prune(actions: Any) -> None:
    parser = actions.add_parser("prune", help="set the weights that matter least to zero")
    _add_smaller(parser)
    parser.add_argument(
        "--pattern", choices=("magnitude", "2:4"), default="magnitude",
        help="the smallest of all, or two of every four inputs (default: magnitude)",
    )  # fmt: skip
    parser.add_argument(
        "--share", type=float, default=0.5, help="of zeros, by magnitude (default: 0.5)"
    )
    parser.set_defaults(command=_prune)


def _add_distill(actions: Any) -> None:
    parser = actions.add_parser("distill", help="teach a student of fewer layers")
    _add_smaller(parser)
    parser.add_argument("--layers", type=_count, required=True, help="of the student")
    parser.add_argument("--steps", type=_count, default=1000, help="of training (default: 1000)")
    parser.add_argument("--minutes", type=float, help="stop teaching after so long")
    parser.add_argument(
        "--batch", type=_count, default=8, metavar="WINDOWS", help="per step (default: 8)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the order of the text (default: 0)"
    )
    parser.set_defaults(command=_distill)


def _add_repository(parser: Any) -> None:
    parser.add_argument(
        "--repository", type=Path, metavar="DIR",
        help="folder of <name>/<version>/ (default: models in the state folder)",
    )  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="where history is kept")


def _add_smaller(parser: Any) -> None:
    parser.add_argument("source", type=Path, metavar="FOLDER", help="in Hugging Face's format")
    parser.add_argument("target", type=Path, metavar="NEW", help="folder to write")
    parser.add_argument("--text", type=Path, metavar="FILE", help=f"needed: {_TEXT}")
    parser.add_argument(
        "--max-loss", type=float, default=5.0, metavar="PERCENT",
        help="by which perplexity may rise; nothing is written beyond (default: 5)",
    )  # fmt: skip
    parser.add_argument(
        "--window", type=_count, default=128, metavar="TOKENS", help="judged in one go (128)"
    )
    parser.add_argument(
        "--windows", type=_count, default=32, metavar="N", help="to judge by, at most (32)"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of 1 or more, got {text}")
    return value


@contextmanager
def _for_people() -> Iterator[None]:
    """Turn what can go wrong with a model's files or a device into an error for the terminal."""
    from inference.compression.errors import CompressionError  # noqa: PLC0415
    from inference.models.spec import ModelError  # noqa: PLC0415
    from inference.runtimes.runtime import (  # noqa: PLC0415
        RuntimeFailedError,
        RuntimeMissingError,
    )

    ours = (ModelError, CompressionError, RuntimeFailedError, RuntimeMissingError)
    try:
        yield
    except ours as error:
        raise WarmfrontError(str(error)) from error
    except OSError as error:
        raise WarmfrontError(f"{error.filename}: {error.strerror or error}") from error


def _list(arguments: Arguments, root: Path) -> int:
    from warmfront.models.shelf import show  # noqa: PLC0415 - slow to import, as all below

    with _for_people():
        return show(arguments.repository or root, as_json=arguments.json, out=Console())


def _import(arguments: Arguments, root: Path) -> int:
    from warmfront.models.shelf import bring_in  # noqa: PLC0415

    with _for_people():
        return bring_in(
            arguments.source,
            arguments.repository or root,
            name=arguments.name,
            version=arguments.version,
            out=Console(),
        )


def _verify(arguments: Arguments) -> int:
    from warmfront.models.findings import show  # noqa: PLC0415

    with _for_people():
        return show(arguments.folder, out=Console())


def _bench(arguments: Arguments) -> int:
    from warmfront.models.speed import Wanted, bench  # noqa: PLC0415

    wanted = Wanted(
        arguments.runtime,
        arguments.lowering,
        tuple(arguments.precision or (None,)),
        arguments.threads,
        arguments.prompt,
    )
    with _for_people():
        return bench(arguments.folder, wanted, as_json=arguments.json, out=Console())


def _quantize(arguments: Arguments) -> int:
    from inference.compression.quantization import Quantize  # noqa: PLC0415
    from inference.models.precision import Precision  # noqa: PLC0415

    return _smaller(arguments, Quantize(Precision(arguments.precision)))


def _prune(arguments: Arguments) -> int:
    from inference.compression.pruning import Pattern, Prune  # noqa: PLC0415

    return _smaller(arguments, Prune(Pattern(arguments.pattern), arguments.share))


def _distill(arguments: Arguments) -> int:
    from inference.compression.distillation import Distill  # noqa: PLC0415

    change = Distill(
        arguments.layers,
        steps=arguments.steps,
        minutes=arguments.minutes,
        batch=arguments.batch,
        seed=arguments.seed,
    )
    return _smaller(arguments, change)


def _smaller(arguments: Arguments, change: Any) -> int:
    from inference.compression.compress import Job  # noqa: PLC0415
    from warmfront.models.smaller import make_smaller  # noqa: PLC0415

    if arguments.text is None:
        raise WarmfrontError(f"what is lost must be measured: give --text FILE, {_TEXT}")
    job = Job(
        arguments.source,
        arguments.target,
        arguments.text,
        max_loss=arguments.max_loss / 100,
        window=arguments.window,
        judged=arguments.windows,
    )
    with _for_people():
        return make_smaller(job, change, as_json=arguments.json, out=Console())
