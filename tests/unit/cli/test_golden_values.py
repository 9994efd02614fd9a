"""Real public datasets give the values that were found by hand, through `jiebang score --json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cases import load_case
from tests.unit.cli.conftest import Command


@dataclass(frozen=True)
class Golden:
    """What a table must give: records, columns, missing cells, and measures as (num, den, value)."""

    case: str
    table: str
    records: int
    columns: int
    missing: int
    measures: dict[str, tuple[int | None, int | None, str]]


GOLDEN = [
    Golden(
        "penguins",
        "penguins.csv",
        344,
        8,
        19,
        {
            "COM-1": (2733, 2752, "0.993096"),
            "COM-3": (333, 344, "0.968023"),
            "BAL-1": (None, None, "0.954982"),
        },
    ),
    Golden(
        "penguins_raw",
        "penguins-raw.csv",
        344,
        17,
        336,
        {"COM-1": (5512, 5848, "0.942544"), "COM-3": (34, 344, "0.098837")},
    ),
    Golden(
        "flights",
        "flights.csv",
        336776,
        19,
        46595,
        {
            "COM-1": (6352149, 6398744, "0.992718"),
            "COM-3": (327346, 336776, "0.971999"),
            "DUP-1": (336776, 336776, "1.000000"),
        },
    ),
    Golden(
        "flights", "planes.csv", 3322, 9, 3369, {"COM-1": (26529, 29898, "0.887317"), "COM-3": (23, 3322, "0.006924")}
    ),
    Golden(
        "weather",
        "weather.csv",
        26115,
        15,
        23974,
        {"COM-1": (367751, 391725, "0.938799"), "KEY-1": (26112, 26115, "0.999885")},
    ),
    Golden("life_ACTG175", "ACTG175.csv", 2139, 28, 797, {"COM-1": (59095, 59892, "0.986693")}),
    Golden("sf_temps", "sf-temps.csv", 8759, 2, 0, {"COM-5": (8759, 8760, "0.999886")}),
    Golden("seattle_weather", "seattle-weather.csv", 1461, 6, 0, {"BAL-1": (None, None, "0.745999")}),
]


@pytest.fixture(scope="module")
def reports() -> dict[str, dict[str, Any]]:
    return {}


def scored(name: str, jiebang: Command, folder: Path, reports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if name not in reports:
        case = load_case(name)
        data = folder / "data"
        data.mkdir()
        # The values are those of all columns required, which is what an undeclared list means.
        declare = {key: value for key, value in case.declare.items() if key != "required"}
        (folder / "declare.json").write_text(json.dumps(declare))
        options = ("--declare", folder / "declare.json", "--rubric", "core-1-draft", "--json")
        ran = jiebang("score", case.write(data), *options)
        assert ran.code == 0, ran.err
        reports[name] = ran.json
    return reports[name]


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.table)
def test_a_real_dataset_gives_its_golden_values(
    golden: Golden, jiebang: Command, tmp_path: Path, reports: dict[str, dict[str, Any]]
) -> None:
    report = scored(golden.case, jiebang, tmp_path, reports)
    (profile,) = [table for table in report["profile"]["tables"] if table["name"] == golden.table]
    missing = sum(column["missing"] for column in profile["columns"])
    assert (profile["records"], len(profile["columns"]), missing) == (golden.records, golden.columns, golden.missing)
    found = {
        one["id"]: (one["num"], one["den"], one["value"]) for one in report["measures"] if one["table"] == golden.table
    }
    assert {name: found[name] for name in golden.measures} == golden.measures


def test_the_hour_that_is_missing_is_named(
    jiebang: Command, tmp_path: Path, reports: dict[str, dict[str, Any]]
) -> None:
    report = scored("sf_temps", jiebang, tmp_path, reports)
    (gap,) = next(one for one in report["combined"] if one["id"] == "COM-5")["evidence"]
    assert gap["note"] == "missing before it: 2010-03-14T03:00"


def test_the_classes_of_the_weather_are_counted(
    jiebang: Command, tmp_path: Path, reports: dict[str, dict[str, Any]]
) -> None:
    report = scored("seattle_weather", jiebang, tmp_path, reports)
    counts = next(one for one in report["combined"] if one["id"] == "BAL-1")["counts"]
    assert (max(counts.values()), min(counts.values())) == (714, 23)
