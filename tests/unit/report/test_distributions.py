"""What is drawn of a column is counted exactly, told nowhere else, and never of persons."""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import palmerpenguins
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jiebang
from jiebang.report import render_html
from jiebang.report.distributions import LEAST
from tests.unit.report.test_page import Outline

PENGUINS = Path(palmerpenguins.__file__).parent / "data" / "penguins.csv"


def drawn(path: Path, **declared: Any) -> dict[str, dict[str, Any]]:
    """The distributions of a file's only table, by column."""
    report = jiebang.score(path, distributions=True, declare=declared or None)
    (table,) = report.tables
    return dict(zip((column["name"] for column in table["columns"]), report.distributions[table["name"]], strict=True))


def write(path: Path, **columns: Sequence[object]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return path


def test_the_penguins_are_counted_as_they_are() -> None:
    found = drawn(PENGUINS)
    assert found["species"]["values"] == (("Adelie", 152), ("Gentoo", 124), ("Chinstrap", 68))
    assert found["year"]["values"] == (("2007", 110), ("2008", 114), ("2009", 120))
    with PENGUINS.open() as file:
        masses = [int(row["body_mass_g"]) for row in csv.DictReader(file) if row["body_mass_g"] != "NA"]
    mass = found["body_mass_g"]
    edges = [int(edge) for edge in mass["edges"]]
    counted = Counter(sum(edge <= value for edge in edges) - 1 for value in masses)
    assert mass["counts"] == tuple(counted[place] for place in range(len(edges) - 1))
    assert sum(mass["counts"]) == mass["cells"] == 342


def test_no_report_in_json_is_another_for_what_is_drawn() -> None:
    with_drawings = jiebang.score(PENGUINS, distributions=True)
    assert with_drawings.distributions
    assert with_drawings.to_json() == jiebang.score(PENGUINS).to_json()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.decimals(min_value=-(10**12), max_value=10**12, places=3), min_size=LEAST, max_size=60))
def test_every_number_is_in_one_bin_or_outside(numbers: list[Decimal]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = drawn(write(Path(folder) / "n.csv", n=numbers), types={"n": "decimal"})["n"]
    edges = [Decimal(edge) for edge in found["edges"]]
    assert sum(found["counts"]) + found["below"] + found["above"] == len(numbers) == found["cells"]
    assert found["below"] == sum(number < edges[0] for number in numbers)
    for low, high, count in zip(edges, edges[1:], found["counts"], strict=False):
        assert count == sum(low <= number < high for number in numbers)


def test_a_few_far_numbers_do_not_flatten_the_others(tmp_path: Path) -> None:
    numbers = [i % 100 for i in range(1000)] + [9_000_000_000]
    found = drawn(write(tmp_path / "n.csv", n=numbers))["n"]
    assert found["above"] == 1
    assert len(found["counts"]) >= 10
    assert max(found["counts"]) < 200


def test_the_widest_numbers_that_are_kept_can_be_drawn(tmp_path: Path) -> None:
    numbers = [-9_223_372_036_854, 9_223_372_036_854, *range(-40, 40, 10)]
    found = drawn(write(tmp_path / "n.csv", n=numbers))["n"]
    assert sum(found["counts"]) + found["below"] + found["above"] == 10


def test_times_are_drawn_between_days(tmp_path: Path) -> None:
    times = [f"2025-01-{day:02}T{hour:02}:00:00" for day in range(1, 11) for hour in range(24)]
    found = drawn(write(tmp_path / "t.csv", t=times), time="t")["t"]
    assert found["kind"] == "times"
    assert found["edges"][0] == "2025-01-01"
    assert sum(found["counts"]) == 240
    assert set(found["counts"][:-1]) == {found["counts"][0]}


def test_a_rare_value_is_not_named(tmp_path: Path) -> None:
    cells = ["red"] * 20 + ["blue"] * LEAST + ["Zhang Wei"] * (LEAST - 1)
    found = drawn(write(tmp_path / "c.csv", colour=cells))["colour"]
    assert found["values"] == (("red", 20), ("blue", LEAST))
    assert (found["other_values"], found["others"]) == (1, LEAST - 1)
    assert "Zhang" not in repr(found)


def test_texts_that_do_not_repeat_are_told_by_their_length_alone(tmp_path: Path) -> None:
    texts = [f"message number {number}" for number in range(200)]
    found = drawn(write(tmp_path / "t.csv", text=texts))["text"]
    assert found["kind"] == "lengths"
    assert found["values"] == ()
    assert sum(found["counts"]) == 200


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("note", "call 13800138000"),
        ("contact", "someone@163.com"),
        ("patient_name", "Zhang Wei"),
        ("姓名", "张伟"),
    ],
)
def test_nothing_is_drawn_of_what_tells_of_persons(tmp_path: Path, name: str, cell: str) -> None:
    path = write(tmp_path / "p.csv", **{name: [cell] * 30, "colour": ["red"] * 30})
    found = drawn(path)
    assert found[name] == {**found[name], "kind": "withheld", "cells": 0, "values": (), "counts": ()}
    assert found["colour"]["kind"] == "values"
    report = jiebang.score(path, distributions=True)
    page = render_html(report.as_dict(), distributions=report.distributions)
    assert cell not in page
    assert "not drawn: it may tell of persons" in Outline(page).words


def test_one_personal_cell_withholds_its_column(tmp_path: Path) -> None:
    cells = ["nothing to say"] * 500 + ["my number is 13800138000"]
    assert drawn(write(tmp_path / "p.csv", note=cells))["note"]["kind"] == "withheld"


def test_a_track_of_places_withholds_its_whole_table(tmp_path: Path) -> None:
    count = 40
    path = write(
        tmp_path / "t.csv",
        user_id=[number % 4 for number in range(count)],
        lat=[f"{30 + number / 7:.4f}" for number in range(count)],
        lon=[f"{110 + number / 7:.4f}" for number in range(count)],
        time=[f"2025-01-01T{number % 24:02}:{number:02}:00" for number in range(count)],
    )
    assert {one["kind"] for one in drawn(path).values()} == {"withheld"}


def test_texts_of_one_length_are_told_in_words(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", code=[f"K{number}Z" for number in range(100, 200)])
    report = jiebang.score(path, distributions=True)
    page = render_html(report.as_dict(), distributions=report.distributions)
    assert "5 characters in every cell" in Outline(page).words
    assert "每个单元格 5 个字符" in Outline(page, "zh").words


def test_a_hostile_value_is_text_on_the_page(tmp_path: Path) -> None:
    attack = "<img src=x onerror=alert(1)>"
    path = write(tmp_path / "x.csv", colour=[attack] * 30)
    report = jiebang.score(path, distributions=True)
    page = render_html(report.as_dict(), distributions=report.distributions)
    assert "<img" not in page
    assert "&lt;img src=x" in page


def test_a_screen_reader_hears_what_a_histogram_shows() -> None:
    report = jiebang.score(PENGUINS, distributions=True)
    words = Outline(render_html(report.as_dict(), distributions=report.distributions)).words
    assert "from 2600 to 6400 ; most, 40 of 342, from 3400 to 3600" in words
