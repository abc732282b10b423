"""Trains the bundled model from nothing: corpus, tokenizer, network, files, scores."""

import argparse
import math
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from inference.models.bundled import (
    conversations,
    corpus,
    evaluate,
    export,
    scaling_sentences,
    vocabulary,
)
from inference.models.bundled.batches import Batch, Sampler
from inference.models.bundled.network import Network, Shape

CHAT_ROWS, CHAT_TOKENS = 24, 161
PROSE_ROWS, PROSE_TOKENS = 4, 257
LONG_PROSE_EVERY = 4
MATRIX_RATE, OTHER_RATE = 0.02, 0.004
MATRIX_DECAY = 0.1
WARM_UP, DECAY_FROM = 0.01, 0.4
REPORT_EVERY, CHECKPOINT_EVERY = 50, 250
CHECKPOINT_CASES = 50
TOKENIZER_SENTENCES = 3000


@dataclass(frozen=True, slots=True)
class Effort:
    """What a training run took."""

    seed: int
    steps: int
    threads: int
    wall_seconds: int
    cpu_seconds: int
    torch: str


def main() -> None:
    """Train, then write the model's files and scores into a folder."""
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    taught, held_out = split(corpus.passages())
    tokenizer = vocabulary.train(tokenizer_texts(taught))
    vocabulary.save(tokenizer, arguments.out)
    network = Network(Shape(tokenizer.get_vocab_size()))
    sampler = Sampler(tokenizer, conversations.Repertoire(), taught, arguments.seed)
    effort = fit(network, sampler, arguments)
    export.save(network, arguments.out)
    shipped = export.load(arguments.out)
    sizes = {"taught_bytes": num_bytes(taught), "held_out_bytes": num_bytes(held_out)}
    results: dict[str, object] = asdict(effort) | {"parameters": shipped.num_parameters()} | sizes
    results |= scores(shipped, tokenizer, held_out)
    export.write_json(arguments.out / export.SCORES, results)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--minutes", type=float, default=math.inf, help="end sooner, fully cooled")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


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


def fit(network: Network, sampler: Sampler, arguments: argparse.Namespace) -> Effort:
    """Take steps until the last one or the last minute, cooling down towards either."""
    wall, cpu = time.perf_counter(), time.process_time()
    optimizers = build_optimizers(network)
    step, progress = 0, 0.0
    while progress < 1:
        set_rate(optimizers, rate(progress))
        losses = learn(network, draw(sampler, step))
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        minutes = (time.perf_counter() - wall) / 60
        progress = max(step / arguments.steps, minutes / arguments.minutes)
        if step % REPORT_EVERY == 0:
            print(f"{step:5d} {losses} {minutes:5.1f} min", flush=True)
        if step % CHECKPOINT_EVERY == 0:
            checkpoint(network, arguments.out)
    return Effort(
        seed=arguments.seed,
        steps=step,
        threads=arguments.threads,
        wall_seconds=round(time.perf_counter() - wall),
        cpu_seconds=round(time.process_time() - cpu),
        torch=torch.__version__,
    )


def checkpoint(network: Network, folder: Path) -> None:
    """Leave a model that can be used, and say how it does on a few cases."""
    export.save(network, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    cases = evaluate.held_out_cases(CHECKPOINT_CASES)
    share = evaluate.exactness(export.load(folder), tokenizer, cases).share
    print(f"      held-out sentences: {share:.0%}", flush=True)


def draw(sampler: Sampler, step: int) -> tuple[Batch, Batch]:
    """Conversations and prose; some rows of prose are as long as the model's context."""
    chat = sampler.conversations(CHAT_ROWS, CHAT_TOKENS)
    if step % LONG_PROSE_EVERY == 0:
        return chat, sampler.prose(PROSE_ROWS // 2, 2 * PROSE_TOKENS - 1)
    return chat, sampler.prose(PROSE_ROWS, PROSE_TOKENS)


def learn(network: Network, batches: tuple[Batch, ...]) -> str:
    """Add up the gradients of the batches' mean losses."""
    losses = []
    for batch in batches:
        loss = mean_loss(network, batch)
        torch.autograd.backward(loss)
        losses.append(f"{loss.item():.3f}")
    return " ".join(losses)


def mean_loss(network: Network, batch: Batch) -> Tensor:
    """Only the tokens that count reach the output layer."""
    tokens, counts = torch.from_numpy(batch.tokens), torch.from_numpy(batch.counts)[:, 1:]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = network.model(tokens[:, :-1])[counts]
        logits = functional.linear(states, network.model.embed_tokens.weight)
    return functional.cross_entropy(logits.float(), tokens[:, 1:][counts])


def build_optimizers(network: Network) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, Adam for embedding and norms."""
    named = dict(network.named_parameters())
    inside = {name for name, weight in named.items() if ".layers." in name and weight.ndim == 2}
    matrices = [named[name] for name in sorted(inside)]
    others = [weight for name, weight in named.items() if name not in inside]
    return [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=MATRIX_DECAY),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.97), weight_decay=0.0),
    ]


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


def scores(
    network: Network, tokenizer: Tokenizer, held_out: list[corpus.Passage]
) -> dict[str, object]:
    """What the shipped network does on cases and passages that it was not taught."""
    exactness = evaluate.exactness(network, tokenizer, evaluate.held_out_cases())
    return {
        "held_out_sentences": exactness.asked.total(),
        "held_out_exact": exactness.share,
        "held_out_by_outcome": exactness.by_outcome(),
        "held_out_bits_per_byte": round(evaluate.bits_per_byte(network, tokenizer, held_out), 3),
    }


def num_bytes(passages: list[corpus.Passage]) -> int:
    """Size of the text, as bits per byte counts it."""
    return sum(len(passage.text.encode()) for passage in passages)


if __name__ == "__main__":
    main()
