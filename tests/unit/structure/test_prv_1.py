"""PRV-1: records that say where they come from, by their own columns or by a descriptor."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiebang.result import Status
from tests.naive.provenance import prv_1
from tests.unit.measures.test_portable_subset import everything_asked, outside_the_subset
from tests.unit.structure.packages import TABLE, Files, croissant, judged, share

Record = tuple[str | None, str | None, str | None]


def table(records: list[Record]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["rid", "source", "source_details", "original_time"])
    writer.writerows(
        [number, *("" if cell is None else cell for cell in record)] for number, record in enumerate(records)
    )
    return out.getvalue()


def measured(records: list[Record]) -> tuple[int | None, int | None]:
    return share(judged({"t.csv": table(records)}, "PRV-1"), "PRV-1")


GOOD: Record = ("公开数据", "某统计局年鉴", "2025-03-01")


@pytest.mark.parametrize(
    ("record", "valid"),
    [
        (GOOD, 1),
        (("互联网", "https://example.org/a", "2025-03-01"), 1),
        (("互联网", "http://例子.中国/a", "2025-03-01"), 1),
        (("互联网", "某网站", "2025-03-01"), 0),
        (("互联网", "https://", "2025-03-01"), 0),
        (("互联网", "https:// example", "2025-03-01"), 0),
        (("web", "ftp://example.org", "2025-03-01"), 0),
        (("公开数据", None, "2025-03-01"), 0),
        ((None, "某统计局年鉴", "2025-03-01"), 0),
        (("公开数据", "某统计局年鉴", None), 0),
        (("公开数据", "某统计局年鉴", "2025-02-30"), 0),
    ],
)
def test_a_record_says_where_it_comes_from_or_not(record: Record, valid: int) -> None:
    # Beside nineteen good ones, so that the last column is one of dates.
    assert measured([GOOD] * 19 + [record]) == (19 + valid, 20)


def test_times_that_are_no_dates_say_nothing() -> None:
    report = judged({"t.csv": table([("a", "b", "spring")] * 3)}, "PRV-1")
    assert share(report, "PRV-1") == (0, 3)
    assert report["PRV-1"].evidence[0].column == "original_time"


def test_the_record_that_lacks_it_is_pointed_at() -> None:
    report = judged({"t.csv": table([GOOD, (None, None, None), GOOD])}, "PRV-1")
    assert [(pointer.file, pointer.row) for pointer in report["PRV-1"].evidence] == [("t.csv", 2)]


def data_package(**more: Any) -> str:
    source = {"title": "Statistics office", "path": "https://example.org/yearbook"}
    return json.dumps({"created": "2025-03-01", "sources": [source], "resources": [], **more})


@pytest.mark.parametrize(
    ("descriptors", "counts"),
    [
        ({"datapackage.json": data_package()}, (1, 1)),
        ({"datapackage.json": data_package(created=None)}, (0, 1)),
        ({"datapackage.json": data_package(sources=[{"title": "互联网", "path": "某网站"}])}, (0, 1)),
        ({"datapackage.json": data_package(sources=[{"title": "FILL IN", "path": "FILL IN"}])}, (0, 1)),
        ({"croissant.json": croissant(isBasedOn="https://example.org/raw", temporalCoverage="2007/2009")}, (1, 1)),
        (
            {
                "croissant.json": croissant(
                    **{"rai:dataCollection": "Measured by hand", "rai:dataCollectionTimeframe": ["2007-11-11"]}
                )
            },
            (1, 1),
        ),
        ({"a/datapackage.json": data_package()}, (0, 1)),
    ],
)
def test_a_descriptor_speaks_for_files_without_such_columns(descriptors: Files, counts: tuple[int, int]) -> None:
    report = judged({"t.csv": TABLE, **descriptors}, "PRV-1")
    if counts == (0, 1):
        assert report["PRV-1"].status is Status.NOT_DECLARED
    else:
        assert share(report, "PRV-1") == counts


def test_of_several_files_those_count_that_have_a_source() -> None:
    resources = [
        {"path": "t.csv", "sources": [{"title": "Office", "email": "office@example.org", "date": "2025-01-01"}]}
    ]
    files: Files = {"t.csv": TABLE, "u.csv": TABLE + "3,4\n", "datapackage.json": json.dumps({"resources": resources})}
    report = judged(files, "PRV-1")
    assert share(report, "PRV-1") == (1, 3)
    assert [pointer.file for pointer in report["PRV-1"].evidence] == ["u.csv"]


def test_of_a_dataset_without_tables_the_files_are_counted() -> None:
    source = {"title": "A camera", "path": "https://example.org/camera", "date": "2025"}
    resources = [{"path": "a.png", "sources": [source]}]
    files: Files = {"a.png": b"1", "b.png": b"2", "datapackage.json": json.dumps({"resources": resources})}
    report = judged(files, "PRV-1")
    assert share(report, "PRV-1") == (1, 2)
    assert [pointer.file for pointer in report["PRV-1"].evidence] == ["b.png"]
    assert judged({"a.png": b"1"}, "PRV-1")["PRV-1"].status is Status.NOT_DECLARED


def test_where_nothing_is_said_it_is_not_declared_and_in_a_challenge_failed() -> None:
    found = judged({"t.csv": TABLE}, "PRV-1")
    assert found["PRV-1"].status is Status.NOT_DECLARED
    assert "source_details" in found.declare[0]
    assert judged({"t.csv": TABLE}, "PRV-1", demand={"types": {"a": "integer"}})["PRV-1"].status is Status.FAILED


def test_in_a_challenge_a_demanded_field_may_be_text() -> None:
    demand = {"types": {"source": "text", "source_details": "text", "original_time": "text"}}
    report = judged({"t.csv": table([("a", "b", "spring"), GOOD])}, "PRV-1", demand=demand)
    assert share(report, "PRV-1") == (2, 2)


CELLS = st.sampled_from(
    [None, "公开数据", "互联网", "web", "Web site", "https://example.org", "http://x", "https:///x"]
)
TIMES = st.sampled_from(["2025-03-01", "2024-02-29", "2025-12-31", "2025-02-30", None, "spring"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS, TIMES), min_size=1, max_size=12), st.integers(0, 30))
def test_it_is_what_a_naive_count_finds(records: list[Record], good: int) -> None:
    records = [*records, *[GOOD] * good]
    assert measured(records) == (prv_1(records), len(records))


MIXED: list[Record] = [
    ("互联网" if n % 3 else "年鉴", "https://example.org/a" if n % 4 else "某网站", f"2025-03-{1 + n % 28:02}")
    for n in range(200)
]


def test_one_file_or_fifty_on_any_number_of_threads_give_the_same_integers() -> None:
    right = (prv_1(MIXED), 200)
    assert 0 < right[0] < 200
    parts: Files = {f"t{part:02}.csv": table(MIXED[part::50]) for part in range(50)}
    for files in ({"t.csv": table(MIXED)}, parts):
        for threads in (1, 2, 8):
            assert share(judged(files, "PRV-1", threads=threads), "PRV-1") == right


def test_what_it_asks_is_in_the_portable_subset() -> None:
    asked = everything_asked({"t.csv": table(MIXED).encode()}, {})
    mine = [sql for sql in asked if "https://0" in sql]
    assert len(mine) == 2
    assert [outside for sql in mine if (outside := outside_the_subset(sql))] == []
