"""Distinct keys and distinct records, exactly and cheaply: what several measures ask, once, whoever asks."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jiebang.measures.definition import POINTERS, Answers, Ask, Rows, Subject, pointer_query
from jiebang.measures.missing import all_present, complete_records
from jiebang.result import Evidence, Status

if TYPE_CHECKING:
    from jiebang.dataset.tables import Column


def unlike_the_demand(subject: Subject) -> Status | None:
    """In a challenge it fails when none of the demanded columns is there."""
    return Status.FAILED if subject.closed and not subject.present else None


@dataclass(frozen=True)
class DistinctKeys:
    """The question how many complete keys of a table differ, in the columns of its declared key, which are there."""

    subject: Subject

    @property
    def columns(self) -> list[Column]:
        """The columns of the key; none where one of them is not there."""
        return self.subject.columns(self.subject.declared.key) or []

    @property
    def asks(self) -> list[Ask]:
        """How many records have a complete key; how many keys repeat, in how many records, and where."""
        return [self._complete, self._repeated]

    @property
    def _complete(self) -> Rows:
        return complete_records(self.subject.table.relation, self.columns)

    @property
    def _repeated(self) -> Rows:
        relation, columns = self.subject.table.relation, self.columns
        key = ", ".join(f"s{column.index}" for column in columns)
        # For the pointers only records whose parts all occur in repeated keys are grouped again: most often none.
        suspect = " AND ".join(f"s{column.index} IN (SELECT s{column.index} FROM repeated)" for column in columns)
        return Rows(
            f"WITH repeated AS MATERIALIZED (SELECT {key}, count(*) AS n FROM {relation} "
            f"WHERE {all_present(columns)} GROUP BY {key} HAVING count(*) > 1), "
            "alike AS (SELECT min(f) AS f, max(f) AS last_f, max(r) AS r "
            f"FROM {relation} WHERE {suspect} GROUP BY {key} HAVING count(*) > 1) "
            "SELECT 0 AS tag, count(*) AS f, sum(n) AS r FROM repeated UNION ALL "
            f"(SELECT 1 AS tag, f, r FROM alike WHERE f = last_f ORDER BY f, r LIMIT {POINTERS}) ORDER BY tag, f, r"
        )

    def count(self, answers: Answers) -> int:
        """How many complete keys differ."""
        _, keys, records = answers.integers(self._repeated)[0]
        return answers.count(self._complete) - records + keys

    def evidence(self, answers: Answers) -> list[Evidence]:
        """Records that repeat a key."""
        name = self.columns[0].name
        return [self.subject.pointer(f, r, name, "repeats a key") for _, f, r in answers.integers(self._repeated)[1:]]


@dataclass(frozen=True)
class DistinctRecords:
    """The question how many records of a table differ, in the columns that make a record."""

    subject: Subject

    def find(self) -> Generator[list[Ask], Answers, tuple[int, list[Evidence]]]:
        """How many records differ, and the first that have an equal one."""
        records = self.subject.table.records
        if records == 0 or not self._identity:
            yield []
            return min(records, 1), []
        keys = DistinctKeys(self.subject)
        is_part = bool(keys.columns) and {column.index for column in keys.columns} <= set(self._identity)
        if is_part and keys.count((yield keys.asks)) == records:
            return records, []  # records with a key of their own cannot be equal
        answers = yield [self._alike]
        (_, _, candidates), (_, distinct, _), *pointers = answers.integers(self._alike)
        evidence = [self.subject.pointer(f, r, note="has an equal record") for _, f, r in pointers]
        found = records - candidates + distinct
        return found, evidence if found < records else []

    @property
    def _alike(self) -> Rows:
        """The groups of equal hash, the distinct records among them (a hash finds candidates, equality decides)."""
        relation = self.subject.table.relation
        cells = ", ".join(f"s{index}" for index in self._identity)
        alike = "h IN (SELECT h FROM hashes)"
        return Rows(
            f"WITH hashes AS MATERIALIZED (SELECT h, count(*) AS n FROM {relation} GROUP BY h HAVING count(*) > 1) "
            "SELECT 0 AS tag, count(*) AS f, sum(n) AS r FROM hashes UNION ALL "
            "SELECT 1 AS tag, count(*) AS f, 0 AS r FROM "
            f"(SELECT DISTINCT {cells} FROM {relation} WHERE {alike}) AS d UNION ALL "
            f"{pointer_query(relation, alike, 2, POINTERS)} ORDER BY tag, f, r"
        )

    @property
    def _identity(self) -> list[int]:
        present = {column.index for column in self.subject.present}
        return [index for index in self.subject.table.identity if index in present]


def record_columns(subject: Subject, *, without: str | None = None) -> list[int]:
    """The present columns that make a record, as for distinct records, but the one named `without`.

    Columns that only number the records count where nothing else is left.
    """
    kept = {column.index: column.name for column in subject.present if column.name != without}
    return [index for index in subject.table.identity if index in kept] or list(kept)
