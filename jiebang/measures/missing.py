"""Missing cells and complete records, which several measures count: each once, whoever asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jiebang.measures.definition import Aggregate, Answers, Rows, Subject
from jiebang.result import Evidence

if TYPE_CHECKING:
    from jiebang.dataset.tables import Column


def present_cells(column: Column) -> Aggregate:
    """How many cells of a column are not missing."""
    return Aggregate(f"count(s{column.index})")


def all_present(columns: Iterable[Column]) -> str:
    """The condition that no cell of these columns is missing in a record."""
    return " AND ".join(f"s{column.index} IS NOT NULL" for column in columns)


def complete_records(relation: str, columns: Iterable[Column]) -> Rows:
    """How many records have a cell in each of these columns; a condition costs a quarter of a filtered count."""
    return Rows(f"SELECT count(*) AS n FROM {relation} WHERE {all_present(columns)}")


def missing_counts(
    subject: Subject, columns: Iterable[tuple[str, Column | None]], answers: Answers
) -> list[tuple[str, int]]:
    """The missing cells of each column by name; a column that is not there is wholly missing."""
    records = subject.table.records
    return [
        (name, records if column is None else records - answers.integer(present_cells(column)))
        for name, column in columns
    ]


def emptiest(counts: list[tuple[str, int]], records: int) -> list[Evidence]:
    """The columns with missing cells as evidence, the emptiest first."""
    ordered = sorted((item for item in enumerate(counts) if item[1][1]), key=lambda item: (-item[1][1], item[0]))
    return [Evidence(column=name, note=f"{missing} of {records} missing") for _, (name, missing) in ordered]
