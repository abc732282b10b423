"""Entries to put in line, and what the size of a request is told from."""

from dataclasses import dataclass

from inference.gateway.admission.entry import Entry
from inference.gateway.routing.want import Want
from inference.gateway.tenancy.priority import Priority


def entry_of(
    work=10.0, *, at=0.0, priority=Priority.STANDARD, tenant="a", share=1.0, want=None, **fields
):
    want = want or Want("m", input_tokens=max(1, int(work)))
    return Entry(want, priority, tenant, share, work, arrived=at, joined=at, **fields)


@dataclass(frozen=True)
class Ask:
    prompt_bytes: int
    max_tokens: int | None = None
    images: int = 0
    choices: int = 1
