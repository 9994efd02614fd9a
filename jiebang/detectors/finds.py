"""What was found and where, without the values: places in tables, text files and column names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """One class at one place of a dataset: how often, and where first.

    In cells `record` is the first record (from 1) and `column` the column's name, `count` the records; in a text file
    `line` is the first line (from 1) and `count` the lines; in a column's name only `column` is there.
    """

    name: str
    file: str
    count: int = 1
    record: int | None = None
    column: str | None = None
    line: int | None = None
