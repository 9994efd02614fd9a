"""Two versions of a dataset side by side: what each measure's change did to the total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from jiebang.report.reading import DimensionLine, MeasureLine, dimensions

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one measure; None before or after where only one of the versions has it.

    `score` and `points` are changes: of the measure's own score, and of what it brings to the total (None where the two
    were not judged alike).
    """

    measure: str
    before: MeasureLine | None
    after: MeasureLine | None
    score: Decimal | None
    points: Decimal | None


@dataclass(frozen=True, slots=True)
class Version:
    """The earlier version in short; total and grade are None where it was not judged."""

    total: Decimal | None
    grade: str | None
    rubric: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """An earlier version beside this one; `changes` has what moved, the greatest effect on the total first."""

    before: Version
    changes: tuple[Change, ...]
    unchanged: int
    same_rubric: bool
    same_bytes: bool
    total: Decimal | None
    dimensions: Mapping[str, Decimal]
    """What the dimensions were, of those that had a value."""

    @property
    def judged(self) -> bool:
        """Whether the earlier version has a total at all."""
        return self.before.total is not None


def compare(before: Facts, after: Facts) -> Comparison:
    """What moved from one report to another; both are `Report.as_dict()` or the same read back from JSON."""
    same_rubric = before["rubric"]["digest"] == after["rubric"]["digest"]
    old, new = _dimensions(before), _dimensions(after)
    old_lines, new_lines = _lines(old), _lines(new)
    brought_before, brought_after = (_brought(old), _brought(new)) if same_rubric else ({}, {})
    both = before["total"] is not None and after["total"] is not None
    changes = []
    unchanged = 0
    for name in dict.fromkeys([*new_lines, *old_lines]):
        first, second = old_lines.get(name), new_lines.get(name)
        points = brought_after.get(name, Fraction(0)) - brought_before.get(name, Fraction(0))
        if first is not None and second is not None and _essence(first) == _essence(second) and not points:
            unchanged += 1
            continue
        changes.append(
            Change(
                name, first, second, _score_change(first, second), _decimal(points) if same_rubric and both else None
            )
        )
    changes.sort(key=_effect, reverse=True)
    return Comparison(
        before=Version(
            total=None if before["total"] is None else Decimal(before["total"]),
            grade=None if before["grade"] is None else str(before["grade"]),
            rubric=str(before["engine"]["rubric"]),
        ),
        changes=tuple(changes),
        unchanged=unchanged,
        same_rubric=same_rubric,
        same_bytes=before["dataset"]["digest"] == after["dataset"]["digest"],
        total=Decimal(after["total"]) - Decimal(before["total"]) if both and same_rubric else None,
        dimensions={name: Decimal(value) for name, value in before["dimensions"].items()} if same_rubric else {},
    )


def _effect(change: Change) -> Decimal:
    return abs(change.points if change.points is not None else change.score or Decimal(0))


def _dimensions(facts: Facts) -> tuple[DimensionLine, ...]:
    return dimensions(facts) if facts["total"] is not None else ()


def _lines(of: tuple[DimensionLine, ...]) -> dict[str, MeasureLine]:
    return {line.id: line for dimension in of for line in dimension.measures}


def _essence(line: MeasureLine) -> tuple[object, ...]:
    return line.status, line.value, line.num, line.den, line.score


def _score_change(first: MeasureLine | None, second: MeasureLine | None) -> Decimal | None:
    if first is None or second is None or first.score is None or second.score is None:
        return None
    return second.score - first.score


def _brought(of: tuple[DimensionLine, ...]) -> dict[str, Fraction]:
    """What each measure brings to the total: W/ΣW · w/Σw · s over what counts, so that they add up to it."""
    counted = [dimension for dimension in of if dimension.value is not None]
    weights = sum((Fraction(dimension.weight or 1) for dimension in counted), Fraction(0))
    brought = {}
    for dimension in counted:
        lines = [line for line in dimension.measures if line.score is not None]
        own = sum((line.weight for line in lines), Fraction(0))
        for line in lines:
            share = Fraction(dimension.weight or 1) / weights * line.weight / own
            brought[line.id] = share * Fraction(line.score or 0)
    return brought


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)
