"""What to fix to gain points: the gains in order, each with a sentence of what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from jiebang.grading import Grade
from jiebang.measures import BY_ID
from jiebang.result import MeasureResult, Status


@dataclass(frozen=True)
class Fix:
    """One measure made full: what the total gains by it, and what to do."""

    measure: str
    gain: str
    what: str

    def as_dict(self) -> dict[str, str]:
        """The fix as JSON."""
        return {"measure": self.measure, "gain": self.gain, "what": self.what}


def fixes(judged: Grade, tables: Sequence[MeasureResult], combined: Mapping[str, MeasureResult]) -> tuple[Fix, ...]:
    """The fixes of a dataset, the greatest gain first.

    `tables` are the results of all tables: of several, the one that loses most is the one spoken of.
    """
    ordered = sorted(judged.gains.items(), key=lambda item: -Decimal(item[1]))
    return tuple(Fix(name, gain, _what(name, tables, combined[name])) for name, gain in ordered)


def declarations(judged: Grade) -> tuple[str, ...]:
    """What to declare so that more is measured, a sentence for each measure that waits for it."""
    return tuple(
        f"Declare `{BY_ID[name].declares}`, so that {name} ({BY_ID[name].title}) is measured."
        for name in judged.undeclared
        if BY_ID[name].declares
    )


def _what(name: str, tables: Sequence[MeasureResult], combined: MeasureResult) -> str:
    measure = BY_ID[name]
    if combined.status is Status.NOT_DECLARED:
        return f"Declare `{measure.declares}`: the rubric requires {name} ({measure.title})."
    alike = [result for result in tables if result.id == name and result.status is combined.status]
    most = max(alike, key=lambda result: _loss(result, measure.worst))
    several = len({result.table for result in tables}) > 1
    sentence = measure.advice(most)
    return f"In `{most.table}`: {sentence[0].lower()}{sentence[1:]}" if several else sentence


def _loss(result: MeasureResult, worst: bool) -> Decimal:
    if result.num is None or result.den is None or worst:
        return -Decimal(result.value or 0)
    return Decimal(result.den - result.num)
