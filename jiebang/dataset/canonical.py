"""From dirty files to canonical tables: every question about text is answered here, once, for all measures."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from jiebang.dataset import cell_sql
from jiebang.dataset.building import TableBuilder
from jiebang.dataset.opening import FileKind, OpenedDataset
from jiebang.dataset.planning import plan_tables
from jiebang.dataset.sources import open_source
from jiebang.dataset.store import Store
from jiebang.dataset.tables import Column, ColumnType, Fact, Table
from jiebang.declaration import Declaration
from jiebang.errors import DatasetRefused

__all__ = ["CanonicalDataset", "Column", "ColumnType", "Fact", "Table", "canonicalise"]

_DEFAULT_LIMIT = 2_000_000_000
_OUTSIDE_DUCKDB = 400_000_000  # the interpreter, the libraries, and the blocks being read
_LEAST_LIMIT = 200_000_000


@dataclass
class CanonicalDataset:
    """The canonical tables of a dataset, and the locked-down connection that holds them until `close`."""

    tables: tuple[Table, ...]
    connection: duckdb.DuckDBPyConnection
    warnings: tuple[str, ...]
    _folder: Path

    def close(self) -> None:
        """Let go of the tables and of everything that was written for them."""
        _forget(self.connection, self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def canonicalise(
    dataset: OpenedDataset,
    declaration: Declaration,
    *,
    scratch: Path,
    threads: int | None = None,
    memory: int | None = None,
    facts: Collection[Fact] = (),
    progress: Callable[[str, float], None] | None = None,
) -> CanonicalDataset:
    """Read the data files of an opened dataset into canonical tables, by the declaration.

    `memory` is what the whole process should stay under, in bytes. Integers found in the tables are the same for any
    number of threads and any memory; where it does not suffice, DatasetRefused says so. `facts` are kept beside the
    cells where something is declared for which they are of use. `progress` is called with
    "read" and the fraction of the bytes that were read.
    """
    folder = Path(tempfile.mkdtemp(prefix="canonical-", dir=scratch))
    limit = _DEFAULT_LIMIT if memory is None else max(_LEAST_LIMIT, memory - _OUTSIDE_DUCKDB)
    connection = _connect(folder, threads, limit)
    try:
        warnings: list[str] = []
        files = [file for file in dataset.files if file.kind is not FileKind.OTHER]
        sources = [open_source(file, number, declaration, folder, warnings) for number, file in enumerate(files)]
        plans, unplaced = plan_tables(sources, declaration)
        warnings += unplaced
        # A table in memory is the fastest to read again; text takes about twice its bytes there.
        text = sum(source.text_bytes for source in sources)
        store = Store(connection, folder, in_memory=text * 1.8 < limit)
        done = 0

        def advanced(read: int) -> None:
            nonlocal done
            done += read
            if progress and text:
                progress("read", min(1.0, done / text))

        tables = tuple(
            TableBuilder(plan, f"t{index}", store, advanced, facts).build() for index, plan in enumerate(plans)
        )
        if progress:
            progress("read", 1.0)
        return CanonicalDataset(tables, connection, tuple(warnings), folder)
    except duckdb.OutOfMemoryException:
        _forget(connection, folder)
        raise DatasetRefused(
            "memory_exceeded",
            "The dataset cannot be read in the memory it was given.",
            "Give more memory, or hand in fewer columns.",
            limit=limit,
        ) from None
    except BaseException:
        _forget(connection, folder)
        raise


def _forget(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    connection.close()
    shutil.rmtree(folder, ignore_errors=True)


def _connect(folder: Path, threads: int | None, limit: int) -> duckdb.DuckDBPyConnection:
    """A connection that can reach its own folder and nothing else, and whose settings cannot be changed."""
    spill = folder / "spill"
    connection = duckdb.connect(":memory:")
    if threads is not None:
        connection.execute(f"SET threads = {int(threads)}")
    # In a notebook or under `python -c` DuckDB would draw its own progress into what is printed.
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"SET memory_limit = '{limit} bytes'")
    connection.execute(f"SET temp_directory = {cell_sql.quoted(str(spill))}")
    # Every record carries its file and ordinal, so the order in storage is free.
    connection.execute("SET preserve_insertion_order = false")
    cell_sql.install(connection)
    connection.execute(f"SET allowed_directories = [{cell_sql.quoted(str(folder) + '/')}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection
