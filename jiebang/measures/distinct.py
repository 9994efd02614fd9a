"""Distinct records, exactly and cheaply: a hash finds candidates, equality decides."""

from __future__ import annotations

from dataclasses import dataclass

from jiebang.measures.definition import POINTERS, Answers, Rows, Subject, pointer_query
from jiebang.result import Evidence


@dataclass(frozen=True)
class DistinctRecords:
    """The question how many records of a table differ, in the columns that make a record."""

    subject: Subject

    @property
    def asks(self) -> list[Rows]:
        """One query: the groups of equal hash, the distinct records among them, and the first that are alike."""
        table = self.subject.table
        if table.records == 0 or not self._identity:
            return []
        cells = ", ".join(f"s{index}" for index in self._identity)
        alike = "h IN (SELECT h FROM hashes)"
        return [
            Rows(
                f"WITH hashes AS MATERIALIZED (SELECT h, count(*) AS n FROM {table.relation} GROUP BY h "
                "HAVING count(*) > 1) "
                "SELECT 0 AS tag, count(*) AS f, sum(n) AS r FROM hashes UNION ALL "
                f"SELECT 1 AS tag, count(*) AS f, 0 AS r FROM "
                f"(SELECT DISTINCT {cells} FROM {table.relation} WHERE {alike}) AS d UNION ALL "
                f"{pointer_query(table.relation, alike, 2, POINTERS)} ORDER BY tag, f, r"
            )
        ]

    @property
    def _identity(self) -> list[int]:
        present = {column.index for column in self.subject.present}
        return [index for index in self.subject.table.identity if index in present]

    def count(self, answers: Answers) -> int:
        """How many records differ."""
        records = self.subject.table.records
        if not self.asks:
            return min(records, 1)
        (_, _, candidates), (_, distinct, _) = answers.integers(self.asks[0])[:2]
        return records - candidates + distinct

    def evidence(self, answers: Answers) -> list[Evidence]:
        """The first records that have an equal one."""
        if not self.asks or self.count(answers) == self.subject.table.records:
            return []
        rows = answers.integers(self.asks[0])[2:]
        return [self.subject.pointer(f, r, note="has an equal record") for _, f, r in rows]
