"""From measures to a grade: tables into a dataset, scores into dimensions, and what to fix."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jiebang.fixes import declarations, fixes
from jiebang.grading import combine_tables, decimal, grade
from jiebang.measures.definition import ratio_value
from jiebang.result import Evidence, MeasureResult, Status
from jiebang.rubric import Rubric


def result(measure: str, num: int | None = None, den: int | None = None, **facts: Any) -> MeasureResult:
    status = facts.pop("status", Status.MEASURED)
    value = facts.pop("value", None) or (ratio_value(num, den) if num is not None and den else None)
    return MeasureResult(measure, 1, status, num, den, value, **facts)


def one_dimension(*measures: str, **options: Any) -> Rubric:
    criteria = {measure: {"floor": 0, "target": 1, **options.get(measure, {})} for measure in measures}
    return Rubric.parse({"id": "t", "dimensions": {"d": {"weight": 1, "measures": criteria}}})


def test_ratios_are_pooled_over_tables() -> None:
    pooled = combine_tables([result("COM-1", 1, 2, table="a"), result("COM-1", 5, 8, table="b")])
    assert (pooled.num, pooled.den, pooled.value, pooled.table) == (6, 10, "0.600000", None)


def test_the_worst_table_counts_for_the_worst_field_and_the_label() -> None:
    worst = combine_tables([result("COM-2", 9, 10, table="a"), result("COM-2", 1, 2, table="b")])
    assert (worst.num, worst.den) == (1, 2)
    labels = combine_tables(
        [result("BAL-1", value="0.900000", table="a"), result("BAL-1", value="0.200000", table="b")]
    )
    assert labels.value == "0.200000"


def test_failed_on_one_table_is_failed_for_the_dataset() -> None:
    combined = combine_tables([result("KEY-1", 5, 5, table="a"), result("KEY-1", status=Status.FAILED, table="b")])
    assert combined.status is Status.FAILED


def test_a_failed_measure_has_no_value_even_where_it_has_integers() -> None:
    failed = [result("FMT-1", 5, 5, table="a", status=Status.FAILED), result("FMT-1", 5, 5, table="b")]
    failed[0] = replace(failed[0], value=None)  # one of its files could be read, the other not
    combined = combine_tables(failed)
    assert (combined.status, combined.num, combined.den, combined.value) == (Status.FAILED, 5, 5, None)


def test_tables_without_a_value_do_not_hide_one_that_has() -> None:
    combined = combine_tables(
        [result("KEY-1", status=Status.NOT_DECLARED, table="a"), result("KEY-1", 4, 5, table="b")]
    )
    assert (combined.status, combined.num, combined.den) == (Status.MEASURED, 4, 5)


def test_measured_nowhere_the_status_that_says_most_stands() -> None:
    statuses = [Status.NOT_APPLICABLE, Status.NOT_DECLARED, Status.NOT_SCANNED]
    assert combine_tables([result("REF-1", status=s) for s in statuses]).status is Status.NOT_SCANNED
    assert combine_tables([result("REF-1", status=s) for s in statuses[:2]]).status is Status.NOT_DECLARED


def test_evidence_about_a_column_names_its_table_when_there_are_several() -> None:
    column = Evidence(column="sex", note="11 missing")
    alone = combine_tables([result("COM-1", 1, 2, table="a", evidence=(column,))])
    assert alone.evidence[0].file is None
    both = combine_tables([result("COM-1", 2, 2, table="b"), result("COM-1", 1, 2, table="a", evidence=(column,))])
    assert both.evidence[0].file == "a"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=6))
def test_splitting_a_table_changes_nothing(parts: list[tuple[int, int]]) -> None:
    tables = [result("DUP-1", min(num, den), den, table=str(place)) for place, (num, den) in enumerate(parts)]
    joined = result("DUP-1", sum(t.num or 0 for t in tables), sum(t.den or 0 for t in tables), table="all")
    assert combine_tables(tables).value == combine_tables([joined]).value


def test_failed_and_not_scanned_score_nothing_and_not_applicable_leaves() -> None:
    rubric = one_dimension("FMT-1", "COM-1", "KEY-1")
    full = {"FMT-1": result("FMT-1", 1, 1)}
    failed = grade({**full, "COM-1": result("COM-1", status=Status.FAILED)}, rubric)
    assert (failed.total, failed.scores["COM-1"], failed.gains["COM-1"]) == ("50.000000", "0.000000", "50.000000")
    unseen = grade({**full, "COM-1": result("COM-1", status=Status.NOT_SCANNED)}, rubric)
    assert unseen.total == "50.000000"
    left = grade({**full, "COM-1": result("COM-1", status=Status.NOT_APPLICABLE)}, rubric)
    assert (left.total, "COM-1" in left.scores) == ("100.000000", False)


def test_what_is_not_declared_lowers_the_coverage_and_scores_nothing_only_when_required() -> None:
    results = {"FMT-1": result("FMT-1", 1, 1), "KEY-1": result("KEY-1", status=Status.NOT_DECLARED)}
    free = grade(results, one_dimension("FMT-1", "KEY-1"))
    assert (free.total, free.coverage, free.provisional, free.undeclared) == (
        "100.000000",
        "0.500000",
        True,
        ("KEY-1",),
    )
    assert declarations(free) == ("Declare `key`, so that KEY-1 (key uniqueness) is measured.",)
    bound = grade(results, one_dimension("FMT-1", "KEY-1", **{"KEY-1": {"required": True}}))
    assert (bound.total, bound.gains) == ("50.000000", {"KEY-1": "50.000000"})


def test_nothing_that_can_be_judged_gives_no_total() -> None:
    nothing = grade({"FMT-1": result("FMT-1", status=Status.NOT_APPLICABLE)}, one_dimension("FMT-1"))
    assert (nothing.total, nothing.grade, nothing.provisional) == (None, None, True)


def test_a_total_of_zero_is_a_score() -> None:
    worst = grade({"FMT-1": result("FMT-1", 0, 5)}, one_dimension("FMT-1"))
    assert (worst.total, worst.grade) == ("0.000000", "E")


def test_a_weak_dimension_holds_the_grade_down() -> None:
    rubric = Rubric.load("core-0")
    results = {name: result(name, 1, 1) for name in rubric.criteria if name not in ("BAL-1", "SCL-1")}
    assert grade({**results, "BAL-1": result("BAL-1", value="0.750000")}, rubric).grade == "A"
    weak = grade({**results, "BAL-1": result("BAL-1", value="0.740000")}, rubric)
    assert (weak.grade, weak.dimensions["balance"]) == ("B", "73.333333")


def test_the_dimension_that_decides_a_grade_is_not_rounded_first() -> None:
    rubric = Rubric.load("core-0")
    results = {name: result(name, 1, 1) for name in rubric.criteria if name not in ("BAL-1", "SCL-1", "OUT-1")}
    # 99.75 % less one in a billion gives a dimension that prints as 75.000000 and is below it.
    just_below = result("OUT-1", 997_499_999_999, 10**12)
    judged = grade({**results, "OUT-1": just_below}, rubric)
    assert judged.dimensions["accuracy"] == "75.000000"
    assert judged.grade == "B"


@given(st.fractions(0, 100))
def test_decimals_are_rounded_half_to_even(number: Fraction) -> None:
    assert Fraction(decimal(number)) == Fraction(round(number * 10**6), 10**6)


def test_fixes_come_in_the_order_of_their_gain_and_speak_of_the_worst_table() -> None:
    rubric = one_dimension("COM-1", "DUP-1", "KEY-1", **{"KEY-1": {"required": True}})
    tables = [
        result("COM-1", 9, 10, table="a.csv", evidence=(Evidence(column="x"),)),
        result("COM-1", 5, 10, table="b.csv", evidence=(Evidence(column="sex"),)),
        result("DUP-1", 10, 10, table="a.csv"),
        result("DUP-1", 1, 10, table="b.csv"),
        result("KEY-1", status=Status.NOT_DECLARED, table="a.csv"),
        result("KEY-1", status=Status.NOT_DECLARED, table="b.csv"),
    ]
    combined = {name: combine_tables([t for t in tables if t.id == name]) for name in ("COM-1", "DUP-1", "KEY-1")}
    judged = grade(combined, rubric)
    found = fixes(judged, tables, combined)
    assert [fix.measure for fix in found] == ["KEY-1", "DUP-1", "COM-1"]
    assert found[0].what == "Declare `key`: the rubric requires KEY-1 (key uniqueness)."
    assert found[1].what == "In `b.csv`: remove 9 of 10 records that repeat another one."
    assert found[2].what == "In `b.csv`: fill in 5 missing of 10 values, most of them in `sex`."
    assert [fix.gain for fix in found] == [judged.gains[fix.measure] for fix in found]


@given(st.dictionaries(st.sampled_from(["FMT-1", "COM-1", "DUP-1", "OUT-1", "REF-1"]), st.integers(0, 100), min_size=1))
def test_a_gain_is_what_the_total_rises_by(values: dict[str, int]) -> None:
    rubric = Rubric.load("core-0")
    results = {name: result(name, num, 100) for name, num in values.items()}
    judged = grade(results, rubric)
    for name, gain in judged.gains.items():
        raised = grade({**results, name: result(name, 100, 100)}, rubric)
        assert abs(Fraction(raised.total or 0) - Fraction(judged.total or 0) - Fraction(gain)) <= Fraction(1, 10**6)
