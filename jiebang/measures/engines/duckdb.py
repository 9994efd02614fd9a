"""DuckDB answers what measures ask, over the canonical tables of its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiebang.measures.definition import Row

if TYPE_CHECKING:
    import duckdb

BLOCK = 50
"""The most aggregates in one statement: planning grows faster than their number."""


class DuckDBEngine:
    """Runs the portable subset of SQL as it stands."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def aggregates(self, relation: str, expressions: list[str]) -> list[int | None]:
        """The integers of many aggregates over one relation, in as few scans as planning allows."""
        values: list[int | None] = []
        for start in range(0, len(expressions), BLOCK):
            chosen = ", ".join(expressions[start : start + BLOCK])
            values.extend(self.rows(f"SELECT {chosen} FROM {relation}")[0])  # type: ignore[arg-type]
        return values

    def rows(self, sql: str) -> list[Row]:
        """All rows of a query."""
        return self._connection.execute(sql).fetchall()
