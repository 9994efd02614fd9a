"""Every class is told with a precision and a recall of at least 0.95 on the labelled lines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from jiebang.detectors import CLASSES
from jiebang.detectors.evaluate import Line, qualities, read_lines, table
from jiebang.detectors.schema import RULES

LINES = list(read_lines(Path(__file__).with_name("labelled.jsonl")))


def test_the_labelled_lines_are_many_and_hold_every_class_and_none() -> None:
    assert len(LINES) >= 300
    held = Counter(name for line in LINES for name in line.classes)
    told_by_tables = set(RULES)
    assert {found.name for found in CLASSES} == set(held) | told_by_tables
    assert min(held.values()) >= 2
    assert sum(not line.classes for line in LINES) >= 150


def test_no_class_is_below_the_bar() -> None:
    found = qualities(LINES)
    print(table(found))  # noqa: T201 - for whoever runs it with -s
    assert [one for one in found if one.precision < 0.95 or one.recall < 0.95] == []


def test_what_is_missed_or_wrong_shows_in_the_table() -> None:
    lines = [Line("13812345678", frozenset({"email"})), Line("none", frozenset({"phone"}))]
    by_name = {one.name: (one.right, one.wrong, one.missed) for one in qualities(lines)}
    assert by_name == {"phone": (0, 1, 1), "email": (0, 0, 1)}
    assert table(qualities(lines)).splitlines()[1].split() == ["phone", "1", "0.000", "0.000"]
