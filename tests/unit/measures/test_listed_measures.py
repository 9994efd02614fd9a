"""What the measures that rubrics list do at their edges, beyond what random tables reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import jiebang
from jiebang.measures import BY_ID
from jiebang.result import Status
from tests.unit.every_measure import EVERY_MEASURE
from tests.unit.measures.canonical_tables import measure_files
from tests.unit.measures.test_single_measures import column, measured


def test_a_gap_is_told_by_its_points_and_the_record_after_it() -> None:
    days = ["2024-01-01", "2024-01-02", "2024-01-05", "2024-01-05", "2024-01-07", "2024-01-06 12:00"]
    result = measured(column("t", days), "COM-5", {"time": "t", "grid": "1d"})
    assert (result.num, result.den) == (4, 7)
    assert [(pointer.row, pointer.note) for pointer in result.evidence] == [
        (3, "missing before it: 2 points from 2024-01-03T00:00 to 2024-01-04T00:00"),
        (5, "missing before it: 2024-01-06T00:00"),
    ]
    assert "3 of 7 times" in BY_ID["COM-5"].advise(result)


def test_every_series_has_a_grid_of_its_own_and_a_missing_name_is_one() -> None:
    text = "s,t\na,2024-01-01\nb,2020-01-01 00:30\n,2024-01-01\na,2024-01-03\n,2024-01-02\n"
    result = measured(text, "COM-5", {"time": "t", "grid": "1d", "series": ["s"]})
    assert (result.num, result.den) == (2 + 1 + 2, 3 + 1 + 2)


@pytest.mark.parametrize("measure", ["TIM-3", "COM-5"])
def test_without_a_readable_time_it_fails(measure: str) -> None:
    result = measured(column("t", ["soon", "NA"]), measure, {"time": "t", "grid": "1h"})
    assert (result.status, result.num) == (Status.FAILED, None)
    assert "times that can be read" in BY_ID[measure].advise(result)


def test_a_time_column_that_is_not_there_is_named() -> None:
    result = measured("time\n2024-01-01\n", "TIM-3", {"time": "tme"})
    assert result.status is Status.FAILED
    assert BY_ID["TIM-3"].advise(result).startswith("There is no column `tme`; did you mean `time`? ")


def test_steps_back_and_equal_times_are_pointed_at() -> None:
    result = measured(column("t", ["2024-01-02", "2024-01-01", "2024-01-01", "2024-01-05"]), "TIM-3", {"time": "t"})
    assert (result.num, result.den) == (1, 3)
    assert [pointer.row for pointer in result.evidence] == [2, 3]


def test_times_are_compared_as_instants_whatever_their_zone() -> None:
    rows = ["2024-01-01T09:00+08:00", "2024-01-01T02:00Z", "2024-01-01 02:30"]
    assert measured(column("t", rows), "TIM-3", {"time": "t"}).value == "1.000000"


def test_the_future_begins_after_the_day_that_stands_for_today() -> None:
    declare = {"time": "t", "period": {"to": "2030-01-01"}, "as_of": "2024-05-01"}
    result = measured(column("t", ["2024-05-01 23:59", "2024-05-02", "2031-01-01", "x"]), "TIM-1", declare)
    assert (result.num, result.den) == (1, 4)
    assert {pointer.row: pointer.note for pointer in result.evidence} == {
        2: "in the future",
        3: "in the future",
        4: "has no time that can be read",
    }


def test_a_rubric_says_what_today_is_where_the_declaration_does_not(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("t\n2024-05-01\n2024-05-02\n")
    declare = {"time": "t", "period": {"from": "2024-01-01"}}
    rubric = {**EVERY_MEASURE, "as_of": "2024-05-01"}
    assert jiebang.score(tmp_path, declare=declare, rubric=rubric)["TIM-1"].num == 1
    assert jiebang.score(tmp_path, declare={**declare, "as_of": "2024-05-02"}, rubric=rubric)["TIM-1"].num == 2


def test_a_cell_out_of_its_domain_is_pointed_at_without_being_quoted() -> None:
    declare = {"domains": {"grade": ["A", "B"], "age": {"min": 0, "max": 120}}}
    result = measured("grade,age\nA,30\nsecret,300\nB,x\nB,1e30\n", "DOM-1", declare)
    assert (result.num, result.den) == (4, 8)
    assert [(pointer.row, pointer.column) for pointer in result.evidence] == [
        (2, "age"),
        (3, "age"),
        (4, "age"),
        (2, "grade"),
    ]
    assert "secret" not in str(result)


def test_bounds_give_a_column_its_type(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\nx,2024-01-01\ny,x\n3,y\n")
    declare = {"domains": {"a": {"min": 0}, "b": {"min": "2000-01-01"}}}
    report = jiebang.score(tmp_path, declare=declare, rubric=EVERY_MEASURE)
    assert [(c["type"], c["declared"]) for c in report.tables[0]["columns"]] == [("decimal", True), ("timestamp", True)]
    assert (report["DOM-1"].num, report["DOM-1"].den) == (2, 6)


def test_test_records_that_equal_training_records_are_pointed_at() -> None:
    text = "id,x,part\n1,a,train\n2,b,train\n3,a,test\n4, b ,test\n5,c,test\n6,a,spare\n"
    result = measured(text, "LEK-1", {"split": {"column": "part", "train": ["train"], "test": ["test"]}})
    assert (result.num, result.den) == (1, 3)
    assert [pointer.row for pointer in result.evidence] == [3, 4]


def test_the_parts_of_a_split_may_be_tables_of_a_demand() -> None:
    demand = {
        "tables": {"train.csv": {"types": {"x": "text", "y": "text"}}, "test.csv": {"types": {"x": "text"}}},
        "split": {"train": ["train.csv"], "test": ["test.csv"]},
    }
    files = {"train.csv": b"x,y\na,1\nb,2\n", "test.csv": b"x\nb\nc\n"}
    found = measure_files(files, demand, closed=True)
    assert (found["test.csv"]["LEK-1"].num, found["test.csv"]["LEK-1"].den) == (1, 2)
    assert found["train.csv"]["LEK-1"].status is Status.NOT_APPLICABLE
    emptied = measure_files({**files, "train.csv": b"x,y\n"}, demand, closed=True)
    assert emptied["test.csv"]["LEK-1"].status is Status.FAILED


def test_a_file_is_of_the_nearest_part() -> None:
    files = {"data/a.csv": b"x\n1\n2\n", "data/held/b.csv": b"x\n2\n3\n"}
    split = {"train": ["data"], "test": ["data/held"]}
    (table,) = measure_files(files, {"split": split}).values()
    assert (table["LEK-1"].num, table["LEK-1"].den) == (1, 2)


def test_equal_records_with_other_labels_are_pointed_at() -> None:
    result = measured("id,x,y\n1,a,p\n2,a,q\n3,b,p\n4,b,p\n5,c,q\n6,c,\n", "LAB-3", {"label": "y"})
    assert (result.num, result.den) == (1, 2)
    assert [(pointer.row, pointer.column) for pointer in result.evidence] == [(2, "y")]


def test_a_table_of_labels_alone_is_one_cluster() -> None:
    assert measured(column("y", ["p", "p", "q"]), "LAB-3", {"label": "y"}).value == "0.000000"
    assert measured("id,y\n1,p\n2,q\n", "LAB-3", {"label": "y"}).status is Status.NOT_APPLICABLE


def test_copies_make_no_class_adequate() -> None:
    declare = {"label": "y", "classes": ["p", "q"], "min_per_class": 3}
    result = measured("x,y\n1,p\n2,p\n3,p\n4,q\n4,q\n4,q\n", "BAL-2", declare)
    assert (result.num, result.den) == (1, 2)
    assert [pointer.note for pointer in result.evidence] == ["1 of 3 distinct records of class q"]


def test_damage_is_counted_by_characters() -> None:
    result = measured("t\nplain\nb\u00c3\u00a9\n", "ENC-1", {"text": ["t"]})
    assert (result.num, result.den) == (6, 8)
    assert [(pointer.row, pointer.note) for pointer in result.evidence] == [
        (2, "damaged; 2 such characters in this column")
    ]


@pytest.mark.parametrize(
    ("measure", "demand"),
    [
        ("DOM-1", {"domains": {"x": ["a"]}}),
        ("ENC-1", {"text": ["x"]}),
        ("RUL-1", {"rules": ["x != 'a'"]}),
        ("LEK-1", {"split": {"column": "x", "train": ["a"], "test": ["b"]}}),
        ("TIM-3", {"time": "x"}),
    ],
)
def test_what_is_demanded_and_wholly_missing_fails(measure: str, demand: dict[str, Any]) -> None:
    demand = {**demand, "types": {"y": "text"}}
    assert measured("x,y\n,1\n,2\n", measure, demand, closed=True).status is Status.FAILED
    assert measured("y\n1\n2\n", measure, demand, closed=True).status is Status.FAILED


def test_listed_measures_are_run_where_a_rubric_lists_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("t\n2024-01-01\n")
    rubric = {"id": "one", "dimensions": {"d": {"weight": 1, "measures": {"TIM-3": {"floor": 0, "target": 1}}}}}
    assert "TIM-3" in jiebang.score(tmp_path, rubric=rubric).combined
    assert "TIM-1" not in jiebang.score(tmp_path, rubric=rubric).combined
    assert "TIM-3" not in jiebang.score(tmp_path).combined
