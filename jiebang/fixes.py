"""What to fix to gain points: the gains in order, each with a sentence of what to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from jiebang.grading import Grade, combine_tables, grade
from jiebang.measures import BY_ID
from jiebang.result import MeasureResult, Status
from jiebang.rubric import Rubric

EVERY_MEASURE = "all"
"""What stands for the measure of a fix that mends a whole table."""


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


def fixes_beside(
    absent: Collection[str], judged: Grade, tables: Sequence[MeasureResult], rubric: Rubric
) -> tuple[Fix, ...]:
    """The fixes where demanded tables were not handed in: first to hand them in, then what is left to do after it.

    The gain of the first is that of tables in which every measure is full.
    """
    present = [result for result in tables if result.table not in absent and not _waits(result)]
    combined = {}
    for name in dict.fromkeys(result.id for result in tables):
        there = [result for result in present if result.id == name]
        failed = [result for result in tables if result.id == name and result.status is Status.FAILED]
        counts = any(result.status in (Status.MEASURED, Status.FAILED) for result in there)
        if failed and not counts:
            combined[name] = replace(failed[0], status=Status.MEASURED, num=1, den=1, value="1.000000", table=None)
        elif there:
            combined[name] = combine_tables(there)
    after = grade(combined, rubric)
    gain = Decimal(after.total or 0) - Decimal(judged.total or 0)
    names = " and ".join(f"`{name}`" for name in sorted(absent))
    are = "it is demanded and missing" if len(absent) == 1 else "they are demanded and missing"
    left = " The other gains are what is left after it." if after.gains else ""
    return (Fix(EVERY_MEASURE, f"{gain:.6f}", f"Hand in {names}: {are}.{left}"), *fixes(after, present, combined))


def _waits(result: MeasureResult) -> bool:
    """Whether references could not be looked at for want of the table that they mean, not of their own columns."""
    return result.id == "REF-1" and result.status is Status.FAILED and result.note is None


def declarations(judged: Grade) -> tuple[str, ...]:
    """What to declare so that more is measured, a sentence for each measure that waits for it."""
    return tuple(
        f"{wanted}, so that {name} ({BY_ID[name].title}) is measured."
        for name in judged.undeclared
        if (wanted := BY_ID[name].wanted)
    )


def _what(name: str, tables: Sequence[MeasureResult], combined: MeasureResult) -> str:
    measure = BY_ID[name]
    if combined.status is Status.NOT_DECLARED:
        return f"{measure.wanted}: the rubric requires {name} ({measure.title})."
    alike = [result for result in tables if result.id == name and result.status is combined.status]
    most = max(alike, key=lambda result: _loss(result, measure.worst))
    several = most.table is not None and len({result.table for result in tables} - {None}) > 1
    sentence = measure.advise(most)
    return f"In `{most.table}`: {sentence[0].lower()}{sentence[1:]}" if several else sentence


def _loss(result: MeasureResult, worst: bool) -> Decimal:
    if result.num is None or result.den is None or worst:
        return -Decimal(result.value or 0)
    return Decimal(result.den - result.num)
