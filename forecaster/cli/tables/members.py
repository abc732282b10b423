"""The table of members: how much each model counts, near and far."""

from collections.abc import Iterable

from rich.console import Group

from forecaster.cli.digits import amount, decimals_of, share
from forecaster.cli.output.terminal import table, titled
from forecaster.combination.weights import BUCKETS_MINUTES
from forecaster.pipeline import Member

_LEAST = 0.005  # of the weight: less reads 0 %


def member_table(members: Iterable[Member]) -> Group:
    """Return a row for each member that counts, the weightiest first, and one for the rest."""
    found = list(members)
    told = [member for member in found if member.weight >= _LEAST]
    decimals = decimals_of(member.loss for member in told)
    made = table(["member", "share", *_columns(told), "loss"], left=["member"])
    for member in told:
        made.add_row(
            member.name,
            share(member.weight),
            *(share(weight) for weight in member.weights),
            amount(member.loss, decimals),
        )
    return titled("Made of", made, _note(len(found) - len(told)))


def _columns(members: list[Member]) -> list[str]:
    buckets = len(members[0].weights) if members else 0
    return [f"to {minutes:g} min" for minutes in BUCKETS_MINUTES[:buckets]]


def _note(silent: int) -> str:
    said = "Loss: pinball, on the root scale, at recent origins."
    return f"{said} {silent} more had no say." if silent else said
