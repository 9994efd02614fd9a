"""What single measures do at their edges, beyond what random tables reach."""

from __future__ import annotations

from typing import Any

import pytest

from jiebang.result import MeasureResult, Status
from tests.naive import judge as naive_judge
from tests.unit.measures.canonical_tables import facts, measure_files


def measured(text: str, measure: str, declare: dict[str, Any] | None = None, *, closed: bool = False) -> MeasureResult:
    files = {"t.csv": text.encode()}
    found = measure_files(files, declare or {}, closed=closed)
    assert facts(found) == facts(naive_judge(files, declare or {}, closed=closed))
    (table,) = found.values()
    return table[measure]


def column(name: str, cells: list[str]) -> str:
    return "\n".join([name, *cells])


def test_a_label_of_very_many_values_is_balanced_by_counts_of_counts() -> None:
    result = measured(column("y", [f"c{n}" for n in range(1500) for _ in range(1 + n % 2)]), "BAL-1", {"label": "y"})
    assert result.counts == {"classes": 1500, "classes of 1": 750, "classes of 2": 750}
    assert result.status is Status.MEASURED
    assert {pointer.note for pointer in result.evidence} == {"1 record of one class"}  # they may be people


def test_a_label_that_hardly_repeats_is_quoted_only_where_its_classes_are_declared() -> None:
    names = ["Zhang San", "Li Si", "Wang Wu", "Wang Wu"]
    found = measured(column("y", names), "BAL-1", {"label": "y"})
    assert found.counts == {"classes": 3, "classes of 1": 2, "classes of 2": 1}
    assert {pointer.note for pointer in found.evidence} == {"1 record of one class", "2 records of one class"}
    declared = measured(column("y", names), "BAL-1", {"label": "y", "classes": ["Li Si", "Wang Wu", "Zhang San"]})
    assert declared.counts == {"Zhang San": 1, "Li Si": 1, "Wang Wu": 2}
    assert declared.value == found.value
    repeated = measured(column("y", [*names, "Li Si", "Zhang San"]), "BAL-1", {"label": "y"})
    assert repeated.counts == {"Zhang San": 2, "Li Si": 2, "Wang Wu": 2}


def test_few_classes_are_named_with_their_records() -> None:
    result = measured(column("y", ["a", "b", "b", "NA"]), "BAL-1", {"label": "y", "classes": ["a", "b", "c"]})
    assert result.counts == {"a": 1, "b": 2, "c": 0}
    assert [pointer.note for pointer in result.evidence] == [
        "no record of class c",
        "1 record of class a",
        "2 records of class b",
    ]


def test_an_invented_class_counts_with_the_most_frequent_one() -> None:
    honest = measured(column("y", ["a"] * 6 + ["b"] * 2), "BAL-1", {"label": "y", "classes": ["a", "b"]})
    invented = measured(column("y", ["a"] * 2 + ["z"] * 4 + ["b"] * 2), "BAL-1", {"label": "y", "classes": ["a", "b"]})
    assert invented.value == honest.value
    assert invented.note == "4 of 8 labels are none of the declared classes"
    assert invented.counts == {"a": 2, "b": 2, "(no declared class)": 4}


def test_a_label_column_without_a_label_fails_only_in_a_challenge() -> None:
    empty = column("y,x", ["NA,1", "NA,2"])
    assert measured(empty, "BAL-1", {"label": "y"}).status is Status.NOT_APPLICABLE
    assert measured(empty, "BAL-1", {"label": "y", "types": {"x": "text"}}, closed=True).status is Status.FAILED


def test_a_heavy_tail_leaves_and_is_named() -> None:
    tail = [str(n) for n in range(1, 101)] + ["100000"] * 4
    result = measured(column("price", tail), "OUT-1")
    assert (result.status, result.num, result.den) == (Status.NOT_APPLICABLE, 0, 0)
    assert result.note == "not judged: price (4 of 104 values are extreme, which is a shape and no error)"


def test_three_extreme_cells_are_errors_however_few_cells_there_are() -> None:
    result = measured(column("age", [str(n) for n in range(20, 40)] + ["900"] * 3), "OUT-1")
    assert (result.num, result.den) == (20, 23)
    assert [(pointer.row, pointer.column) for pointer in result.evidence] == [(21, "age"), (22, "age"), (23, "age")]


def test_a_column_whose_values_are_mostly_equal_leaves() -> None:
    result = measured(column("x", ["5"] * 9 + ["6"]), "OUT-1")
    assert result.note == "not judged: x (half of its values are equal)"


def test_numbers_beyond_the_range_are_reported() -> None:
    result = measured(column("x", ["1", "2", "3", "4", "9e20"]), "OUT-1")
    assert (result.num, result.den) == (4, 4)
    assert result.note == "cells out of range: x (1 beyond int64 millionths)"


@pytest.mark.parametrize(("key", "row"), [("k", 3), ("k,l", 3)])
def test_a_repeated_key_is_pointed_at(key: str, row: int) -> None:
    result = measured("k,l\n1,a\n2,a\n1,a\n,b\n", "KEY-1", {"key": key.split(",")})
    assert (result.num, result.den) == (2, 4)
    assert [(pointer.file, pointer.row) for pointer in result.evidence] == [("t.csv", row)]


def test_a_lost_reference_is_pointed_at() -> None:
    files = {"a.csv": b"r\nx\nlost\n\nx\n", "b.csv": b"k\nx\n"}
    reference = {"fields": ["r"], "to": "b.csv", "key": ["k"]}
    result = measure_files(files, {"tables": {"a.csv": {"foreign_keys": [reference]}}})["a.csv"]["REF-1"]
    assert (result.num, result.den) == (2, 3)
    assert [(pointer.row, pointer.column) for pointer in result.evidence] == [(2, "r")]


def test_a_table_may_refer_to_itself() -> None:
    reference = {"fields": ["parent"], "to": "t.csv", "key": ["node"]}
    result = measured("node,parent\n1,\n2,1\n3,9\n", "REF-1", {"foreign_keys": [reference]})
    assert (result.num, result.den) == (1, 2)


def test_no_more_than_twenty_pointers_are_kept() -> None:
    result = measured(column("a,b", [f"{n},NA" for n in range(100)]), "COM-3")
    assert len(result.evidence) == 20
    assert [pointer.row for pointer in result.evidence] == list(range(1, 21))


def test_evidence_never_quotes_a_cell() -> None:
    secret = "11010519491231002X"
    files = {"t.csv": f"id,n\n{secret},1\n{secret},x\n{secret},2\n{secret},3\n".encode()}
    declare = {"key": ["id"], "types": {"n": "integer"}}
    results = measure_files(files, declare)["t.csv"].values()
    assert any(result.evidence for result in results)
    assert secret not in str(list(results))


def test_only_numbers_of_records_are_left_out_of_a_record() -> None:
    assert measured("id,x\n1,a\n2,a\n", "DUP-1").num == 1
    assert measured("id,x\n1,a\n2,a\n", "DUP-1", {"key": ["id"]}).num == 2
    assert measured("id\n1\n2\n2\n", "DUP-1").num == 2


def test_scale_counts_distinct_records_up_to_the_need() -> None:
    assert measured("x\na\na\nb\n", "SCL-1", {"records": 5}).value == "0.400000"
    assert measured("x\na\na\nb\n", "SCL-1", {"records": 1}).value == "1.000000"


def test_a_record_without_any_demanded_column_is_not_unique_in_a_challenge() -> None:
    stranger = column("other", ["1"])
    demand = {"types": {"x": "integer"}, "records": 1}
    assert measured(stranger, "DUP-1", demand, closed=True).status is Status.FAILED
    assert measured(stranger, "SCL-1", demand, closed=True).status is Status.FAILED
    assert measured(stranger, "DUP-1").status is Status.MEASURED
