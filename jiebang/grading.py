"""From measures to a grade: tables into a dataset, values into scores, scores into dimensions and a total.

Everything is an exact fraction until it is printed, so the same integers give the same digits everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from jiebang.measures import BY_ID
from jiebang.measures.definition import POINTERS, ratio_value
from jiebang.result import Evidence, MeasureResult, Status
from jiebang.rubric import Criterion, Rubric

_PROVISIONAL_BELOW = Fraction(9, 10)


def combine_tables(results: Sequence[MeasureResult]) -> MeasureResult:
    """The dataset's result of one measure from those of its tables.

    Ratios pool num and den over the measured tables, so that nobody gains by splitting or joining; COM-2 and BAL-1
    take the worst table; failed on one table is failed; measured nowhere, it is the first of not scanned, not declared
    and not applicable that occurs.
    """
    measure = BY_ID[results[0].id]
    single = len(results) == 1
    for status in (Status.FAILED, Status.MEASURED, Status.NOT_SCANNED, Status.NOT_DECLARED, Status.NOT_APPLICABLE):
        chosen = [result for result in results if result.status is status]
        if chosen:
            break
    if measure.derived or measure.worst or chosen[0].status is not Status.MEASURED:
        chosen = [min(chosen, key=lambda result: Fraction(result.value or 0) if result.num is None else _share(result))]
    nums = [result.num for result in chosen if result.num is not None]
    dens = [result.den for result in chosen if result.den is not None]
    num, den = (sum(nums), sum(dens)) if nums else (None, None)
    by_loss = sorted(chosen, key=lambda result: -((result.den or 0) - (result.num or 0)))
    evidence = [_in_table(pointer, result, single) for result in by_loss for pointer in result.evidence]
    notes = [result.note if single else f"{result.table}: {result.note}" for result in chosen if result.note]
    return replace(
        chosen[0],
        num=num,
        den=den,
        value=ratio_value(num, den) if status is Status.MEASURED and num is not None and den else chosen[0].value,
        table=None,
        evidence=tuple(evidence[:POINTERS]),
        note="; ".join(notes) or None,
        cost_ms=sum(result.cost_ms or 0 for result in results),
    )


def _share(result: MeasureResult) -> Fraction:
    return Fraction(result.num or 0, result.den) if result.den else Fraction(0)


def _in_table(pointer: Evidence, result: MeasureResult, single: bool) -> Evidence:
    return pointer if single or pointer.file is not None else replace(pointer, file=result.table)


@dataclass(frozen=True)
class Grade:
    """A dataset's judgement under a rubric; decimals with six places, None where nothing could be judged.

    `scores` are those of the measures that count. `gains` says by how much the total rises when one measure alone
    becomes full; `undeclared` lists the measures that lower the coverage because nothing is declared for them.
    """

    total: str | None
    grade: str | None
    provisional: bool
    coverage: str
    dimensions: dict[str, str]
    scores: dict[str, str]
    gains: dict[str, str]
    undeclared: tuple[str, ...]


def grade(results: Mapping[str, MeasureResult], rubric: Rubric) -> Grade:
    """Judge the dataset's results, by measure, under a rubric."""
    scores = {
        name: score
        for name, criterion in rubric.criteria.items()
        if (score := _score(results.get(name), criterion)) is not None
    }
    dimensions = _dimensions(scores, rubric)
    total = _total(dimensions, rubric)
    gains: dict[str, Fraction] = {}
    for name, score in scores.items():
        if score < 100 and total is not None:
            raised = _total(_dimensions({**scores, name: Fraction(100)}, rubric), rubric)
            assert raised is not None
            gains[name] = raised - total
    coverage, undeclared = _coverage(results, rubric)
    return Grade(
        total=None if total is None else decimal(total),
        grade=None if total is None else _letter(total, dimensions, rubric),
        provisional=coverage < _PROVISIONAL_BELOW,
        coverage=decimal(coverage),
        dimensions={name: decimal(score) for name, score in dimensions.items()},
        scores={name: decimal(score) for name, score in scores.items()},
        gains={name: decimal(gain) for name, gain in gains.items()},
        undeclared=tuple(undeclared),
    )


def decimal(number: Fraction) -> str:
    """A fraction as a decimal string of six places, half-even."""
    return ratio_value(number.numerator, number.denominator)


def _score(result: MeasureResult | None, criterion: Criterion) -> Fraction | None:
    """The score that counts, None when the measure leaves its dimension."""
    status = Status.NOT_DECLARED if result is None else result.status
    if status in (Status.FAILED, Status.NOT_SCANNED):
        return Fraction(0)
    if status is Status.NOT_DECLARED:
        return Fraction(0) if criterion.required else None
    if status is Status.NOT_APPLICABLE or result is None:
        return None
    return criterion.score(Fraction(result.value or 0) if result.num is None else _share(result))


def _dimensions(scores: Mapping[str, Fraction], rubric: Rubric) -> dict[str, Fraction]:
    found = {}
    for dimension in rubric.dimensions:
        counted = [criterion for criterion in dimension.criteria if criterion.measure in scores]
        if counted:
            weighted = sum((criterion.weight * scores[criterion.measure] for criterion in counted), Fraction(0))
            found[dimension.name] = weighted / sum((criterion.weight for criterion in counted), Fraction(0))
    return found


def _total(dimensions: Mapping[str, Fraction], rubric: Rubric) -> Fraction | None:
    counted = [dimension for dimension in rubric.dimensions if dimension.name in dimensions]
    if not counted:
        return None
    weighted = sum((dimension.weight * dimensions[dimension.name] for dimension in counted), Fraction(0))
    return weighted / sum((dimension.weight for dimension in counted), Fraction(0))


def _letter(total: Fraction, dimensions: Mapping[str, Fraction], rubric: Rubric) -> str:
    printed = Fraction(decimal(total))  # the total that people see decides; dimensions are taken unrounded
    least = min(dimensions.values())
    return next(rule.grade for rule in rubric.grades if printed >= rule.total and least >= rule.dimension)


def _coverage(results: Mapping[str, MeasureResult], rubric: Rubric) -> tuple[Fraction, list[str]]:
    measured = applicable = Fraction(0)
    undeclared = []
    for dimension in rubric.dimensions:
        weights = sum(criterion.weight for criterion in dimension.criteria)
        for criterion in dimension.criteria:
            result = results.get(criterion.measure)
            status = Status.NOT_DECLARED if result is None else result.status
            effect = dimension.weight * criterion.weight / weights
            if status is Status.MEASURED:
                measured += effect
            if status is not Status.NOT_APPLICABLE:
                applicable += effect
            if status is Status.NOT_DECLARED:
                undeclared.append(criterion.measure)
    return (measured / applicable if applicable else Fraction(0)), undeclared
