"""PII-1 and PII-2 count the records that a plain reading counts, however a dataset is cut, stored or run."""

from __future__ import annotations

import csv
import io
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jiebang
from jiebang.dataset.tables import Table
from jiebang.declaration import TableDeclaration
from jiebang.detectors.lists import AS_OF
from jiebang.judge import Report
from jiebang.measures import FOUND_MEASURES, Subject
from jiebang.measures.definition import Rows
from jiebang.result import Status
from tests.cases import expected, load_case
from tests.naive import personal
from tests.unit.detectors.test_scanning import texts
from tests.unit.measures.test_portable_subset import outside_the_subset

RUBRIC: dict[str, Any] = {
    "id": "people",
    "dimensions": {
        "safety": {"weight": 1, "measures": {m: {"floor": 0, "target": 1} for m in ("PII-1", "PII-2")}},
    },
}


def judged(files: dict[str, bytes], **options: Any) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        return jiebang.score(folder, rubric=RUBRIC, **options)


def integers(report: Report) -> dict[str, tuple[int | None, int | None]]:
    return {name: (report[name].num, report[name].den) for name in ("PII-1", "PII-2")}


def as_csv(header: list[str], rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


TOLD = [name for name, tables in expected().items() if any("PII-1" in measures for measures in tables.values())]


@pytest.mark.parametrize("name", TOLD)
def test_every_case_gives_the_right_integers(name: str) -> None:
    case = load_case(name)
    with tempfile.TemporaryDirectory() as folder:
        report = jiebang.score(case.write(Path(folder)), declare=case.declare, rubric=RUBRIC)
    found = {
        (str(result.table), result.id): (str(result.status), result.num, result.den, result.value)
        for result in report.measures
        if result.id in ("PII-1", "PII-2")
    }
    right = {
        (table, measure): tuple(measures[measure][key] for key in ("status", "num", "den", "value"))
        for table, measures in expected()[name].items()
        for measure in ("PII-1", "PII-2")
    }
    assert found == right


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=12))
def test_records_are_counted_as_a_plain_reading_counts_them(rows: list[tuple[str, str]]) -> None:
    # Words, so that no column is one of numbers or dates.
    cells = [[f"n{number}", f"x {left}", f"y {right}"] for number, (left, right) in enumerate(rows)]
    report = judged({"t.csv": as_csv(["n", "left", "right"], cells)})
    found = [set().union(*(personal.classes_of(cell, AS_OF) for cell in row)) for row in cells]
    sensitive = sum(bool(classes & {"child_id_card", "bank_card"}) for classes in found)
    hit = sum(bool(classes) for classes in found)
    assert integers(report) == {"PII-1": (len(rows) - hit, len(rows)), "PII-2": (len(rows) - sensitive, len(rows))}


def people() -> tuple[list[str], list[list[str]]]:
    """Some thousand records with personal data of many kinds, plain, wide and hidden, as chance decides."""
    chance = random.Random(20261125)
    kinds = [
        *("13812345678", "138-1234-5678", "１３８１２３４５６７８", "138\u200b12345678", "138****5678"),
        *(
            "11010519491231002X",
            "110105201506010016",
            "6222021234567890128",
            "8.8.8.8",
            "192.168.0.1",
            "li.wei@163.com",
        ),
    ]
    rows = [
        [
            str(number),
            chance.choice(["张三", "李四", "NA", ""]),
            f"备注，{chance.choice(kinds)}；完" if chance.random() < 0.1 else "今天天气很好（晴）…",
            chance.choice(["13987654321", "15012340001", ""]),
            str(chance.randrange(10**10, 2 * 10**10)),
        ]
        for number in range(3_000)
    ]
    return ["number", "姓名", "备注", "手机号", "order_no"], rows


@pytest.fixture(scope="module")
def whole() -> Report:
    return judged({"p.csv": as_csv(*people())})


def test_the_records_are_dirty_enough_to_tell(whole: Report) -> None:
    (safe, records), (insensitive, _) = integers(whole)["PII-1"], integers(whole)["PII-2"]
    assert records == 3_000
    assert 500 < (safe or 0) < 1_500
    assert 2_900 < (insensitive or 0) < 3_000


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_report_is_the_same_text_with_any_number_of_threads(threads: int, whole: Report) -> None:
    assert judged({"p.csv": as_csv(*people())}, threads=threads).to_json() == whole.to_json()


def test_one_file_or_fifty_csv_or_parquet_give_the_same_integers(whole: Report) -> None:
    header, rows = people()
    parts = {f"p{part:02}.csv": as_csv(header, rows[part::50]) for part in range(50)}
    assert integers(judged(parts)) == integers(whole)
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()}), buffer)
    assert integers(judged({"p.parquet": buffer.getvalue().to_pybytes()})) == integers(whole)
    lines = "\n".join(json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False) for row in rows)
    assert integers(judged({"p.jsonl": lines.encode()})) == integers(whole)


def test_evidence_points_at_records_and_never_quotes(whole: Report) -> None:
    pointers = whole["PII-1"].evidence
    assert len(pointers) == 20
    first = pointers[0]
    assert (first.file, first.column, first.note) == ("p.csv", "手机号", "mobile phone number")
    for value in ("13987654321", "13812345678", "6222021234567890128", "li.wei@163.com"):
        assert value not in whole.to_json()


def test_a_column_of_numbers_needs_a_name_that_tells() -> None:
    rows = [[f"139{number:08}"] for number in range(20)]
    assert integers(judged({"a.csv": as_csv(["order_no"], rows)}))["PII-1"] == (20, 20)
    for name in ("phone", "userMobile", "联系电话", "TEL"):
        assert integers(judged({"a.csv": as_csv([name], rows)}))["PII-1"] == (0, 20), name
    cards = [["4111111111111111"]] * 20
    assert integers(judged({"a.csv": as_csv(["trade"], cards)}))["PII-2"] == (20, 20)
    assert integers(judged({"a.csv": as_csv(["bank_card"], cards)}))["PII-2"] == (0, 20)


def test_times_and_short_numbers_are_no_personal_data() -> None:
    rows = [["1712345678901", "2024-01-01 10:20:30", "13812345678.25", "true"]] * 5
    assert integers(judged({"a.csv": as_csv(["phone_time", "t", "phone", "mobile"], rows)}))["PII-1"] == (5, 5)


def test_what_only_a_table_can_tell_is_sensitive() -> None:
    track = [["u1", f"2024-01-0{day}", f"39.{day}", "116.3"] for day in range(1, 6)] + [
        ["u2", "2024-01-01", "40", "116"]
    ]
    assert integers(judged({"a.csv": as_csv(["user_id", "time", "lat", "lng"], track)}))["PII-2"] == (1, 6)
    fixed = [["s1", f"2024-01-0{day}", "39.9", "116.3"] for day in range(1, 6)]
    assert integers(judged({"a.csv": as_csv(["device_id", "time", "lat", "lng"], fixed)}))["PII-2"] == (5, 5)
    ill = [["p1", "哮喘"], ["p2", ""], ["", "感冒"]]
    assert integers(judged({"a.csv": as_csv(["患者编号", "诊断"], ill)}))["PII-2"] == (2, 3)
    assert integers(judged({"a.csv": as_csv(["row", "诊断"], ill)}))["PII-2"] == (3, 3)
    codes = [["p1", "J45.9"], ["p2", "I10"], ["p3", "E11.9"]]
    assert integers(judged({"a.csv": as_csv(["patient_id", "dx"], codes)}))["PII-2"] == (0, 3)
    faces = [["a", "0.1 0.2"], ["b", ""]]
    assert integers(judged({"a.csv": as_csv(["k", "face_embedding"], faces)}))["PII-2"] == (1, 2)


def test_a_record_with_a_phone_and_a_diagnosis_is_of_a_person() -> None:
    rows = [["13812345678 张", "流感"], ["无", "流感"]]
    assert integers(judged({"a.csv": as_csv(["联系人说明", "诊断"], rows)}))["PII-2"] == (1, 2)


def test_the_age_of_a_child_is_that_of_the_declared_day() -> None:
    data = {"a.csv": as_csv(["note"], [["x 110105201506010016"]])}
    found = {day: integers(judged(data, declare={"as_of": day}))["PII-2"] for day in ("2029-05-31", "2029-06-01")}
    assert found == {"2029-05-31": (0, 1), "2029-06-01": (1, 1)}


def test_a_rubric_without_them_does_not_look() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = jiebang.score(load_case("pii").write(Path(folder)))
    assert "PII-1" not in report.combined
    assert [gate.id for gate in report.gates] == ["G1", "G3"]


def table(finds: str | None) -> Subject:
    return Subject(Table("t", ("t.csv",), "t0", (), (), attempted=3, records=3, finds=finds), TableDeclaration())


@pytest.mark.parametrize("measure", FOUND_MEASURES, ids=lambda measure: str(measure.id))
def test_what_they_ask_is_in_the_portable_subset(measure: Any) -> None:
    (asked,) = next(measure.measure(table("t0_finds")))
    assert isinstance(asked, Rows)
    assert "t0_finds" in asked.sql
    assert outside_the_subset(asked.sql) is None


@pytest.mark.parametrize("measure", FOUND_MEASURES, ids=lambda measure: str(measure.id))
def test_a_table_through_which_nobody_looked_is_not_scanned(measure: Any) -> None:
    with pytest.raises(StopIteration) as stop:
        next(measure.measure(table(None)))
    assert stop.value.value.status is Status.NOT_SCANNED
