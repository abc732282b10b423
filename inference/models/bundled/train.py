"""Trains the bundled model: corpus, tokenizer, network, files, scores."""

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from inference.models.bundled import (
    conversations,
    corpus,
    digits,
    evaluate,
    export,
    rounding,
    scaling_sentences,
    seeing,
    vocabulary,
)
from inference.models.bundled.batches import Batch, Sampler
from inference.models.bundled.crew import Crew
from inference.models.bundled.digits import Digit
from inference.models.bundled.llava import Llava
from inference.models.bundled.network import Shape
from inference.models.bundled.vision_tower import VisionShape

CHAT_ROWS, CHAT_TOKENS = 12, 161
PROSE, LONG_PROSE = (1, 257), (1, 513)
LONG_PROSE_EVERY = 4
PICTURE_ROWS, EYE_ONLY_ROWS = 4, 24
LARGE = 64
SEEDS_APART = 1000
MATRIX_RATE, OTHER_RATE = 0.02, 0.004
MATRIX_DECAY = 0.1
WARM_UP, DECAY_FROM = 0.01, 0.2
REPORT_EVERY, CHECKPOINT_EVERY = 50, 250
CHECKPOINT_CASES, CHECKPOINT_PASSAGES = 100, 10
TOKENIZER_SENTENCES = 3000


@dataclass(frozen=True, slots=True)
class Effort:
    """What a training run took."""

    seed: int
    steps: int
    seeing_steps: int
    eye_only: bool
    workers: int
    threads: int
    wall_seconds: int
    cpu_seconds: int
    torch: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What is never taught."""

    passages: list[corpus.Passage]
    pictures: list[Digit]


def main() -> None:
    """Train, then write the model's files and scores into a folder."""
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    taught, passages = split(corpus.passages())
    seen, pictures = digits.split(digits.load())
    tokenizer, network = begin(arguments.start, taught)
    vocabulary.save(tokenizer, arguments.out)
    crew = Crew(arguments.rank, arguments.workers)
    crew.meet(arguments.out)
    seed = arguments.seed + SEEDS_APART * crew.rank
    sampler = Sampler(tokenizer, conversations.Repertoire(), taught, seen, seed)
    effort = fit(network, sampler, crew, seen, arguments)
    if not crew.leads:
        return
    export.save(network, arguments.out)
    sizes = {"taught_bytes": num_bytes(taught), "held_out_bytes": num_bytes(passages)}
    record: dict[str, object] = {"runs": [*earlier_runs(arguments.start), asdict(effort)]}
    record |= {"parameters": network.num_parameters()} | sizes
    record |= scores(arguments.out, HeldOut(passages, pictures))
    export.write_json(arguments.out / export.SCORES, record)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="go on with the model in this folder")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seeing-steps", type=int, default=3000, help="eye alone")
    parser.add_argument("--eye-only", action="store_true", help="leave the decoder as it is")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end sooner, fully cooled")
    parser.add_argument("--peak", type=float, default=1.0, help="share of the full rates")
    parser.add_argument("--workers", type=int, default=1, help="processes that train together")
    parser.add_argument("--rank", type=int, default=0, help="which one of them this is")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def begin(start: Path | None, taught: list[corpus.Passage]) -> tuple[Tokenizer, Llava]:
    """The vocabulary and network to go on with, or new ones."""
    if start:
        return vocabulary.load(start), export.load_to_continue(start)
    tokenizer = vocabulary.train(tokenizer_texts(taught))
    return tokenizer, Llava(Shape(tokenizer.get_vocab_size()), VisionShape())


def earlier_runs(start: Path | None) -> list[dict[str, object]]:
    """What the runs took that led to the folder."""
    if start is None:
        return []
    told = json.loads((start / export.SCORES).read_text())
    names = [field.name for field in fields(Effort)]
    return list(told.get("runs") or [{name: told[name] for name in names if name in told}])


def split(passages: list[corpus.Passage]) -> tuple[list[corpus.Passage], list[corpus.Passage]]:
    """The passages to teach and those to test on."""
    taught = [passage for passage in passages if not passage.is_held_out]
    return taught, [passage for passage in passages if passage.is_held_out]


def tokenizer_texts(taught: list[corpus.Passage]) -> Iterator[str]:
    """All that is taught, in about the shares that the model sees."""
    yield from (passage.text for passage in taught)
    yield from conversations.TERMS.values()
    yield from conversations.WRITTEN.values()
    rng = random.Random(0)
    for _ in range(TOKENIZER_SENTENCES):
        case = scaling_sentences.sample(rng, held_out=False)
        yield f"{case.prompt}\n{case.sentence}"


def fit(
    network: Llava,
    sampler: Sampler,
    crew: Crew,
    seen: list[Digit],
    arguments: argparse.Namespace,
) -> Effort:
    """Teach the eye, then all, until the last step or minute, cooling down towards either."""
    wall, cpu = time.perf_counter(), time.process_time()
    seeing_steps = arguments.seeing_steps
    seeing.learn_to_see(network.vision_tower, seen, steps=seeing_steps, seed=arguments.seed)
    network.language_model.requires_grad_(not arguments.eye_only)
    optimizers = build_optimizers(network)
    step, progress = 0, 0.0
    while progress < 1:
        set_rate(optimizers, rate(progress) * arguments.peak)
        losses = learn(network, draw(sampler, step, eye_only=arguments.eye_only))
        step += 1
        minutes = (time.perf_counter() - wall) / 60
        progress = max(step / arguments.steps, minutes / arguments.minutes)
        progress = crew.agree(network, progress)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if step % REPORT_EVERY == 0:
            print(f"{step:5d} {losses} {minutes:5.1f} min", flush=True)
        if crew.leads and step % CHECKPOINT_EVERY == 0:
            checkpoint(network, arguments.out)
    return Effort(
        seed=arguments.seed,
        steps=step,
        seeing_steps=seeing_steps,
        eye_only=arguments.eye_only,
        workers=crew.size,
        threads=arguments.threads,
        wall_seconds=round(time.perf_counter() - wall),
        cpu_seconds=round(time.process_time() - cpu),
        torch=torch.__version__,
    )


def checkpoint(network: Llava, folder: Path) -> None:
    """Leave a model that can be used, and say how it does on a few of what is held out."""
    export.save(network, folder)
    passages, pictures = split(corpus.passages())[1], digits.split(digits.load())[1]
    few = HeldOut(passages[:CHECKPOINT_PASSAGES], pictures[:CHECKPOINT_CASES])
    print(f"      {scores(folder, few, cases=CHECKPOINT_CASES)}", flush=True)


def draw(sampler: Sampler, step: int, *, eye_only: bool) -> tuple[Batch, ...]:
    """Conversations, pictures and prose, some rows of which are as long as the context."""
    if eye_only:
        return (sampler.pictures(EYE_ONLY_ROWS),)
    chat, pictures = sampler.conversations(CHAT_ROWS, CHAT_TOKENS), sampler.pictures(PICTURE_ROWS)
    is_long = step % LONG_PROSE_EVERY == 0
    return chat, pictures, sampler.prose(*(LONG_PROSE if is_long else PROSE))


def learn(network: Llava, batches: tuple[Batch, ...]) -> str:
    """Add up the gradients of the batches' mean losses."""
    losses = []
    for batch in batches:
        loss = mean_loss(network, batch)
        torch.autograd.backward(batch.importance * loss)
        losses.append(f"{loss.item():.4f}")
    return " ".join(losses)


def mean_loss(network: Llava, batch: Batch) -> Tensor:
    """The weighted mean; only the tokens that count reach the output layer."""
    tokens, weights = torch.from_numpy(batch.tokens), torch.from_numpy(batch.weights)[:, 1:]
    images = None if batch.images is None else torch.from_numpy(batch.images)
    counts = weights > 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network.scores(network.states(tokens[:, :-1], images)[counts])
    nats = functional.cross_entropy(logits.float(), tokens[:, 1:][counts], reduction="none")
    return (nats * weights[counts]).sum() / weights.sum()


def build_optimizers(network: Llava) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, Adam for embeddings, norms and the projector."""
    named = dict(network.named_parameters())
    inside = {name for name, weight in named.items() if is_inner_matrix(name, weight)}
    matrices = [named[name] for name in sorted(inside)]
    others = [weight for name, weight in named.items() if name not in inside]
    return [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=MATRIX_DECAY),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.97), weight_decay=0.0),
    ]


def is_inner_matrix(name: str, weight: Tensor) -> bool:
    """True of the decoder's matrices; the eye has learnt with Adam and goes on with it."""
    return name.startswith("language_model.") and ".layers." in name and weight.ndim == 2


def rate(progress: float) -> float:
    """The share of the full rate: a short rise, a plateau, a straight fall to zero."""
    rise = (progress + 0.001) / WARM_UP
    fall = (1 - progress) / (1 - DECAY_FROM)
    return min(1.0, rise, fall)


def set_rate(optimizers: list[torch.optim.Optimizer], share: float) -> None:
    """Set each optimizer to this share of its own full rate."""
    for optimizer, full in zip(optimizers, (MATRIX_RATE, OTHER_RATE), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = full * share


def scores(folder: Path, held_out: HeldOut, cases: int = evaluate.CASES) -> dict[str, object]:
    """What the shipped network does on what it was not taught, as it is and in eight bits."""
    network, tokenizer = export.load(folder), vocabulary.load(folder)
    return {
        "as_shipped": results(network, tokenizer, held_out, cases),
        "in_int8": results(rounding.in_eight_bits(network), tokenizer, held_out, cases),
    }


def results(
    network: Llava, tokenizer: Tokenizer, held_out: HeldOut, cases: int
) -> dict[str, object]:
    """Exact sentences, exact names of digits in two forms, and bits for a byte of prose."""
    sentences = evaluate.sentences(evaluate.held_out_cases(cases))
    small = evaluate.pictures(held_out.pictures, size=digits.SIDE, black_on_white=False)
    large = evaluate.pictures(held_out.pictures, size=LARGE, black_on_white=True)
    told = evaluate.exactness(network, tokenizer, sentences)
    white, black = (evaluate.exactness(network, tokenizer, shown) for shown in (small, large))
    bits = evaluate.bits_per_byte(network, tokenizer, held_out.passages)
    return {
        "sentences": len(sentences),
        "sentences_exact": told.share,
        "sentences_by_outcome": told.by_kind(),
        "digits": len(held_out.pictures),
        "digits_exact_white_on_black": round(white.share, 4),
        "digits_exact_black_on_white": round(black.share, 4),
        "digits_by_value_white_on_black": white.by_kind(),
        "bits_per_byte": round(bits, 3),
    }


def num_bytes(passages: list[corpus.Passage]) -> int:
    """Size of the text, as bits per byte counts it."""
    return sum(len(passage.text.encode()) for passage in passages)


if __name__ == "__main__":
    main()
