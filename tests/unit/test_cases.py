"""Every case to the integer, and its total under core-0 to the last digit, from files to report."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import jiebang
from jiebang.grading import grade
from jiebang.judge import Report
from jiebang.rubric import Rubric
from tests.cases import case_names, expected, load_case, totals
from tests.naive.measures import FIRST_MEASURES, MEASURES
from tests.unit.every_measure import EVERY_MEASURE


@cache
def judged_case(name: str) -> Report:
    """A case under a rubric that lists every measure."""
    case = load_case(name)
    with tempfile.TemporaryDirectory() as folder:
        return jiebang.score(case.write(Path(folder)), declare=case.declare, rubric=EVERY_MEASURE)


@pytest.mark.parametrize("name", case_names())
def test_a_case_gives_the_right_integers(name: str) -> None:
    report = judged_case(name)
    found: dict[str, dict[str, Any]] = {}
    for result in report.measures:
        answer = {"status": str(result.status), "num": result.num, "den": result.den, "value": result.value}
        found.setdefault(str(result.table), {})[result.id] = answer
    right = {
        table: {name: answer for name, answer in measures.items() if name in MEASURES}
        for table, measures in expected()[name].items()
    }
    assert {table: {name: found[table][name] for name in answers} for table, answers in right.items()} == right
    assert set(found) == set(right)


@pytest.mark.parametrize("name", case_names())
def test_a_case_gives_the_right_total_under_core_0(name: str) -> None:
    report = judged_case(name)
    judged = grade(report.combined, Rubric.load("core-0"))
    assert {key: getattr(judged, key) for key in totals()[name]} == totals()[name]
    assert judged.gains == totals()[name]["gains"]


@pytest.mark.parametrize(
    ("case", "table", "measure", "num", "den", "value"),
    [
        ("penguins", "penguins.csv", "COM-1", 2733, 2752, "0.993096"),
        ("penguins", "penguins.csv", "COM-3", 333, 344, "0.968023"),
        ("penguins", "penguins.csv", "BAL-1", None, None, "0.954982"),
        ("flights", "flights.csv", "COM-1", 6352149, 6398744, "0.992718"),
        ("flights", "flights.csv", "COM-3", 327346, 336776, "0.971999"),
        ("flights", "flights.csv", "DUP-1", 336776, 336776, "1.000000"),
        ("flights", "planes.csv", "COM-1", 26529, 29898, "0.887317"),
        ("flights", "planes.csv", "COM-3", 23, 3322, "0.006924"),
        ("weather", "weather.csv", "KEY-1", 26112, 26115, "0.999885"),
        ("life_ACTG175", "ACTG175.csv", "COM-1", 59095, 59892, "0.986693"),
        ("seattle_weather", "seattle-weather.csv", "BAL-1", None, None, "0.745999"),
        ("sf_temps", "sf-temps.csv", "COM-5", 8759, 8760, "0.999886"),
    ],
)
def test_golden_values(case: str, table: str, measure: str, num: int | None, den: int | None, value: str) -> None:
    result = next(result for result in judged_case(case).measures if (result.table, result.id) == (table, measure))
    assert (result.num, result.den, result.value) == (num, den, value)


def test_core_0_finds_and_says_the_same_whatever_else_can_be_measured(tmp_path: Path) -> None:
    case = load_case("sf_temps")
    report = jiebang.score(case.write(tmp_path), declare=case.declare)
    assert list(report.combined) == FIRST_MEASURES
    assert {fix.measure: fix.gain for fix in report.fixes} == totals()["sf_temps"]["gains"]
    assert (report.total, report.grade) == (totals()["sf_temps"]["total"], totals()["sf_temps"]["grade"])


def test_the_missing_hour_of_the_temperatures_is_named() -> None:
    result = judged_case("sf_temps")["COM-5"]
    (gap,) = result.evidence
    assert (gap.file, gap.row, gap.column) == ("sf-temps.csv", 1732, "date")
    assert gap.note == "missing before it: 2010-03-14T03:00"


def test_the_raw_penguins_with_all_columns_required(tmp_path: Path) -> None:
    report = jiebang.score(load_case("penguins_raw").write(tmp_path))
    assert (report["COM-1"].num, report["COM-1"].den, report["COM-1"].value) == (5512, 5848, "0.942544")
    assert report["COM-3"].num == 34


def test_the_missing_cells_of_the_weather() -> None:
    report = judged_case("weather")
    assert report["COM-1"].value == "0.938799"
    assert report["COM-1"].den is not None
    assert report["COM-1"].num is not None
    assert report["COM-1"].den - report["COM-1"].num == 23974
