"""Where canonical tables are kept: in memory while they fit, else as Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb

from jiebang.dataset.cell_sql import quoted


class Store:
    """Where canonical tables are kept: in the memory of the connection, or as Parquet files in its folder."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path, *, in_memory: bool) -> None:
        self.connection = connection
        self._folder = folder
        self._in_memory = in_memory
        self._parts: dict[str, list[Path]] = {}
        self._written = 0

    def create(self, relation: str, selects: Iterable[str]) -> None:
        """Make the relation out of the rows of the selects, run one after the other."""
        if self._in_memory:
            statement = f"CREATE TABLE {relation} AS"
            for select in selects:
                self.connection.execute(f"{statement} {select}").fetchall()
                statement = f"INSERT INTO {relation}"
            return
        parts = self._parts[relation] = []
        for select in selects:
            self._written += 1
            parts.append(self._folder / f"{self._written}.parquet")
            # Snappy is cheaper to write and read again than DuckDB's own file; so are plain values where many differ.
            options = "FORMAT parquet, COMPRESSION snappy, DICTIONARY_SIZE_LIMIT 1000"
            target = f"{quoted(str(parts[-1]))} ({options})"
            self.connection.execute(f"COPY ({select}) TO {target}").fetchall()
        listed = ", ".join(quoted(str(part)) for part in parts)
        self.connection.execute(f"CREATE VIEW {relation} AS FROM read_parquet([{listed}])").fetchall()

    def replace(self, relation: str, select: Callable[[str], str]) -> None:
        """Make the relation anew out of itself: `select` is given the name by which the old one is read."""
        old = f"{relation}_old"
        kind = "TABLE" if self._in_memory else "VIEW"
        parts = self._parts.get(relation, [])
        self.connection.execute(f"ALTER {kind} {relation} RENAME TO {old}").fetchall()
        self.create(relation, [select(old)])
        self.connection.execute(f"DROP {kind} {old}").fetchall()
        for part in parts:
            part.unlink()
