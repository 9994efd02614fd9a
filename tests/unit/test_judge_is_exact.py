"""From files to report the integers are those of the naive reading, however a dataset is cut, stored or run."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

import jiebang
from jiebang.judge import Report
from tests.cases import load_case
from tests.naive import judge as naive_judge
from tests.naive import read_dataset
from tests.naive.measures import MEASURES
from tests.unit.every_measure import EVERY_MEASURE
from tests.unit.measures.canonical_tables import facts
from tests.unit.measures.dirty import Dirty, datasets, demands

EXAMPLES = settings(max_examples=40, deadline=None)


def judged(files: dict[str, bytes], **options: Any) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        return jiebang.score(folder, rubric=EVERY_MEASURE, **options)


def by_table(report: Report) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for result in report.measures:
        if result.id in MEASURES:
            found.setdefault(str(result.table), {})[result.id] = result
    return facts(found)


@EXAMPLES
@given(datasets())
def test_a_dirty_csv_is_read_and_measured_exactly(dirty: Dirty) -> None:
    assert by_table(judged(dirty.files, declare=dirty.declare)) == facts(naive_judge(dirty.files, dirty.declare))


@EXAMPLES
@given(datasets(json_lines=True))
def test_a_dirty_jsonl_is_read_and_measured_exactly(dirty: Dirty) -> None:
    assert by_table(judged(dirty.files, declare=dirty.declare)) == facts(naive_judge(dirty.files, dirty.declare))


@EXAMPLES
@given(demands())
def test_an_answer_to_a_demand_is_measured_exactly(dirty: Dirty) -> None:
    right = facts(naive_judge(dirty.files, dirty.declare, closed=True))
    found = by_table(judged(dirty.files, demand=dirty.declare))
    if "tables" not in dirty.declare:  # the one table without a name is called by what was handed in
        assert list(found.values()) == list(right.values())
    else:
        assert found == right


DECLARED: dict[str, Any] = {
    "label": "weather",
    "classes": ["drizzle", "rain", "sun", "snow", "fog", "hail"],
    "min_per_class": 30,
    "domains": {"temp_max": {"min": "-10.5", "max": 40}, "date": {"min": "2012-01-01", "max": "2015-11-30"}},
    "key": ["date"],
    "records": 1500,
    "time": "date",
    "grid": "1d",
    "period": {"from": "2012-03-01", "to": "2015-10-31"},
}


def shuffled_weather() -> bytes:
    """A real table made dirtier: repeated, ragged and blanked lines, in an order that chance decides."""
    header, *lines = load_case("seattle_weather").files["seattle-weather.csv"].decode().splitlines()
    chance = random.Random(20260301)
    lines += chance.choices(lines, k=100)
    for _ in range(60):
        place = chance.randrange(len(lines))
        fields = lines[place].split(",")
        fields[chance.randrange(len(fields))] = chance.choice(["", "NA", " - ", "99999", "oops"])
        lines[place] = ",".join(fields)
    lines[7] += ",surplus"
    chance.shuffle(lines)
    return "\n".join([header, *lines]).encode()


@pytest.fixture(scope="module")
def whole() -> Report:
    return judged({"w.csv": shuffled_weather()}, declare=DECLARED)


def integers(report: Report) -> dict[str, tuple[Any, ...]]:
    return {name: (r.status, r.num, r.den, r.value, r.counts) for name, r in report.combined.items()}


def test_the_dirtier_weather_is_dirty_enough_to_tell(whole: Report) -> None:
    found = {name: result for name, result in whole.combined.items() if name in MEASURES and result.den}
    assert [name for name, result in found.items() if result.num == result.den] == []
    assert {"DOM-1", "COM-4", "COM-5", "LAB-3", "TIM-3", "TIM-1", "BAL-2"} <= set(found)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_report_is_the_same_text_with_any_number_of_threads(threads: int, whole: Report) -> None:
    again = judged({"w.csv": shuffled_weather()}, declare=DECLARED, threads=threads)
    assert again.to_json() == whole.to_json()


def test_one_file_or_fifty_give_the_same_integers(whole: Report) -> None:
    header, *lines = shuffled_weather().splitlines()
    # Cut one after the other, since the order of the records counts for the order of their times.
    ends = [len(lines) * part // 50 for part in range(51)]
    files = {f"w{part:02}.csv": b"\n".join([header, *lines[ends[part] : ends[part + 1]]]) for part in range(50)}
    assert integers(judged(files, declare=DECLARED)) == integers(whole)


def test_a_parquet_twin_gives_the_same_integers(whole: Report) -> None:
    (table,) = read_dataset({"w.csv": shuffled_weather()}, {})
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({name: pa.array(cells, pa.string()) for name, cells in table.columns.items()}), buffer)
    twin = judged({"w.parquet": buffer.getvalue().to_pybytes()}, declare=DECLARED)
    # Rejected records are no records of the twin, which has the parsed ones alone.
    assert {**integers(twin), "FMT-1": None} == {**integers(whole), "FMT-1": None}
    assert (twin["FMT-1"].num, twin["FMT-1"].den) == (whole["FMT-1"].num, whole["FMT-1"].num)
