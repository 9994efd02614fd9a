"""The arithmetic of the verifier, written a second time, gives what the engine's own gives."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiebang.certificate.issuing import worst_table
from jiebang.certificate.verification import canonical, decimal, recompute
from jiebang.grading import combine_tables, grade
from jiebang.grading import decimal as graded_decimal
from jiebang.judge import Report
from jiebang.measures import BY_ID
from jiebang.measures.definition import ratio_value
from jiebang.result import MeasureResult, Status
from jiebang.rubric import Rubric
from tests.cases import case_names
from tests.unit.every_measure import EVERY_MEASURE
from tests.unit.test_cases import judged_case

RUBRICS = (Rubric.load("core-0"), Rubric.load(EVERY_MEASURE))


@pytest.mark.parametrize("name", [name for name in case_names() if name not in {"flights", "header_only"}])
@pytest.mark.parametrize("rubric", RUBRICS, ids=lambda rubric: rubric.id)
def test_a_case_gives_the_same_judgement(name: str, rubric: Rubric) -> None:
    report: Report = judged_case(name)
    judged = grade(report.combined, rubric)
    facts = json.loads(report.to_json())
    found = recompute(facts["measures"], json.loads(canonical(rubric.as_dict())), worst_table(rubric))
    for field in ("total", "grade", "coverage", "provisional", "dimensions", "scores"):
        assert found[field] == getattr(judged, field), field


statuses = st.sampled_from(list(Status))


@st.composite
def results(draw: st.DrawFn) -> list[MeasureResult]:
    """Results of any measures on a few tables, as if from a strange dataset."""
    made = []
    for name in draw(st.lists(st.sampled_from(sorted(BY_ID)), min_size=1, unique=True)):
        for table in draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, unique=True)):
            status = draw(statuses)
            den = draw(st.integers(0 if status is not Status.MEASURED else 1, 10**6))
            num = draw(st.integers(0, den))
            value = ratio_value(num, den) if den and status is Status.MEASURED else None
            ratio = (None, None) if BY_ID[name].derived else (num, den)
            made.append(MeasureResult(name, 1, status, *ratio, value=value, table=table))
    return made


@given(results(), st.sampled_from(RUBRICS))
def test_any_results_give_the_same_judgement(made: list[MeasureResult], rubric: Rubric) -> None:
    by_measure: dict[str, list[MeasureResult]] = {}
    for result in made:
        by_measure.setdefault(result.id, []).append(result)
    combined = {name: combine_tables(own) for name, own in by_measure.items()}
    judged = grade(combined, rubric)
    if judged.total is None:
        return
    found = recompute([result.as_dict() for result in made], rubric.as_dict(), worst_table(rubric))
    for field in ("total", "grade", "coverage", "provisional", "dimensions", "scores"):
        assert found[field] == getattr(judged, field), field
    for name in found["scores"].keys() & combined.keys():
        own, other = found["combined"][name], combined[name]
        assert (own["status"], own["num"], own["den"], own["value"]) == (
            other.status,
            other.num,
            other.den,
            other.value,
        )


@given(st.fractions(min_value=0, max_value=10**6))
def test_decimals_are_rounded_alike(number: Fraction) -> None:
    assert decimal(number) == graded_decimal(number)
