"""Building one canonical table: one pass over its files, then a check of the types that were guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from jiebang.dataset.cell_sql import (
    NUMERIC,
    Reading,
    conforming_types,
    install_time_format,
    quoted,
    raw_text,
)
from jiebang.dataset.cells import Conforms, canonical
from jiebang.dataset.inference import decide_type, guess_type
from jiebang.dataset.planning import PlannedTable, Source
from jiebang.dataset.tables import Column, ColumnType, Table
from jiebang.dataset.tally import MAX_FAILURES, Tally
from jiebang.dataset.text_columns import integer_array
from jiebang.result import Evidence

_SAMPLE_CELLS = 20_000
_SAMPLE_ROWS = (50, 1_000)


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
            # Snappy is cheaper to write and read again than DuckDB's own file.
            target = f"{quoted(str(parts[-1]))} (FORMAT parquet, COMPRESSION snappy)"
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


class TableBuilder:
    """Builds one planned table in a store."""

    def __init__(self, plan: PlannedTable, relation: str, store: Store, advanced: Callable[[int], None]) -> None:
        self._plan = plan
        self._relation = relation
        self._store = store
        self._connection = store.connection
        self._advanced = advanced
        self._present = [index for index, column in enumerate(plan.columns) if column.present]
        self._tallies = [Tally(source.file.path) for source in plan.sources]
        self._failure: BaseException | None = None

    def build(self) -> Table:
        """Read the files, decide the types, and describe the table."""
        plan = self._plan
        guessed = self._guess()
        readings = {index: self._reading(index, guessed[place]) for place, index in enumerate(self._present)}
        self._store.create(self._relation, self._selects(readings))
        readings = self._verify(readings)
        attempted = sum(tally.attempted for tally in self._tallies)
        problems = [
            Evidence(file=source.file.path, note=source.problem)
            for source in plan.sources
            if source.problem is not None
        ]
        failures = problems + [failure for tally in self._tallies for failure in tally.failures]
        return Table(
            name=plan.name,
            files=tuple(source.file.path for source in plan.sources),
            relation=self._relation,
            columns=self._columns(readings),
            identity=plan.identity(),
            attempted=attempted,
            records=sum(tally.records for tally in self._tallies),
            failures=tuple(failures[:MAX_FAILURES]),
            parsed=attempted > 0 and not problems,
            missing=plan.missing,
        )

    def _reading(self, index: int, guessed: ColumnType) -> Reading:
        """How a column is read: as declared, else as guessed."""
        column, declared = self._plan.columns[index], self._plan.declaration
        column_type = ColumnType(column.declared) if column.declared else guessed
        missing = declared.missing_for(column.name)
        if column.name == declared.time and declared.time_format is not None:
            if column.declared is None:
                column_type = ColumnType.TIMESTAMP
            if column_type is not ColumnType.TEXT:
                function = f"jb_time_{self._relation}"
                install_time_format(self._connection, function, declared.time_format)
                return Reading(column_type, missing, time_function=function)
        return Reading(column_type, missing)

    def _is_inferred(self, index: int) -> bool:
        column, declared = self._plan.columns[index], self._plan.declaration
        timed = column.name == declared.time and declared.time_format is not None
        return self._plan.inferred and column.declared is None and not timed

    def _guess(self) -> list[ColumnType]:
        """The types that the first records of the first file with any suggest, for each present column."""
        none = [ColumnType.TEXT] * len(self._present)
        if not any(self._is_inferred(index) for index in self._present):
            return none
        for source in self._plan.sources:
            wanted = self._plan.wanted(source)
            for batch in source.batches(wanted, Tally("")):
                least, most = _SAMPLE_ROWS
                rows = min(len(batch.ordinals), most, max(least, _SAMPLE_CELLS // len(wanted)))
                if not rows:
                    continue
                step = len(batch.ordinals) // rows
                return [
                    self._guess_column(index, batch.columns[place], range(0, rows * step, step))
                    for place, index in enumerate(self._present)
                ]
        return none

    def _guess_column(self, index: int, cells: pa.Array, rows: range) -> ColumnType:
        if not self._is_inferred(index):
            return ColumnType.TEXT
        missing = frozenset(self._plan.declaration.missing_for(self._plan.columns[index].name))
        texts = (cells[row].as_py() for row in rows)
        return guess_type(
            cell for text in texts if text is not None and (cell := canonical(str(text), missing)) is not None
        )

    def _selects(self, readings: dict[int, Reading]) -> Iterator[str]:
        """One select for each run of files whose columns have the same Arrow types."""
        plan = self._plan
        numbered = [(number, source) for number, source in enumerate(plan.sources) if source.problem is None]
        some = False
        for types, run in groupby(numbered, key=lambda entry: entry[1].types(plan.wanted(entry[1]))):
            fields = [("f", pa.int32()), ("r", pa.int64())]
            fields += [(f"c{index}", types[place]) for place, index in enumerate(self._present)]
            schema = pa.schema(fields)
            view = f"raw_{self._relation}"
            reader = pa.RecordBatchReader.from_batches(schema, self._stream(schema, list(run)))
            self._connection.register(view, reader)
            texts = {index: raw_text(types[place], f"c{index}") for place, index in enumerate(self._present)}
            try:
                yield self._select(view, texts, readings)
            except duckdb.Error:
                if self._failure is not None:
                    raise self._failure from None
                raise
            finally:
                self._connection.unregister(view)
            some = True
        if not some:
            yield self._select_nothing(readings)

    def _stream(self, schema: pa.Schema, run: Sequence[tuple[int, Source]]) -> Iterator[pa.RecordBatch]:
        try:
            for number, source in run:
                for batch in source.batches(self._plan.wanted(source), self._tallies[number]):
                    self._advanced(batch.bytes_read)
                    rows = len(batch.ordinals)
                    file = np.full(rows, number, dtype=np.int32)
                    files = pa.Array.from_buffers(pa.int32(), rows, [None, pa.py_buffer(file)], null_count=0)
                    yield pa.RecordBatch.from_arrays(
                        [files, integer_array(batch.ordinals), *batch.columns], schema=schema
                    )
        except BaseException as error:
            self._failure = error  # DuckDB would only keep its text
            raise

    def _select(self, view: str, texts: dict[int, str], readings: dict[int, Reading]) -> str:
        """The canonical columns over a view of raw text."""
        raw = ", ".join(["f", "r", *(f"{text} AS c{index}" for index, text in texts.items())])
        tested = ", ".join(["*", *(f"{reading.normal(f'c{i}')} AS f{i}" for i, reading in readings.items())])
        composed = ", ".join(
            ["f", "r", *(f"{reading.composed(f'c{i}', f'f{i}')} AS n{i}, f{i}" for i, reading in readings.items())]
        )
        canonical = ", ".join(
            ["f", "r", *(f"{reading.canonical(f'n{i}', f'f{i}')} AS s{i}, f{i}" for i, reading in readings.items())]
        )
        return (
            f"SELECT {self._kept(readings)} FROM (SELECT {self._conforming(readings)} FROM (SELECT {canonical} FROM"
            f" (SELECT {composed} FROM (SELECT {tested} FROM (SELECT {raw} FROM {view})))))"
        )

    def _conforming(self, readings: dict[int, Reading]) -> str:
        columns = ["f", "r"]
        for i, reading in readings.items():
            columns += [f"s{i}", f"f{i}"]
            if reading.type is not ColumnType.TEXT:
                columns.append(f"{reading.conforms(f's{i}', f'f{i}')} AS k{i}")
        return ", ".join(columns)

    def _kept(self, readings: dict[int, Reading]) -> str:
        columns = ["f", "r"]
        for i, reading in readings.items():
            columns.append(f"s{i}")
            if reading.type is not ColumnType.TEXT:
                columns.append(f"k{i}")
            if reading.type in NUMERIC:
                columns.append(f"{reading.value(f's{i}', f'f{i}', f'k{i}')} AS x{i}")
        identity = ", ".join(f"s{i}" for i in self._plan.identity())
        columns.append(f"hash({identity}) AS h" if identity else "0::UBIGINT AS h")
        return ", ".join(columns)

    def _select_nothing(self, readings: dict[int, Reading]) -> str:
        columns = ["0::INTEGER AS f", "0::BIGINT AS r"]
        for i, reading in readings.items():
            columns.append(f"NULL::VARCHAR AS s{i}")
            if reading.type is not ColumnType.TEXT:
                columns.append(f"NULL::TINYINT AS k{i}")
            if reading.type in NUMERIC:
                columns.append(f"NULL::BIGINT AS x{i}")
        return f"SELECT {', '.join([*columns, '0::UBIGINT AS h'])} WHERE false"

    def _verify(self, readings: dict[int, Reading]) -> dict[int, Reading]:
        """The readings by the types that all records give; columns that were guessed wrong are read again."""
        inferred = {index: reading for index, reading in readings.items() if self._is_inferred(index)}
        if not inferred:
            return readings
        doubtful = self._doubtful(inferred)
        wrong = {}
        for index in doubtful:
            found = decide_type(self._conforming_counts(index, readings[index]))
            if found is not readings[index].type:
                wrong[index] = replace(readings[index], type=found)
        if not wrong:
            return readings
        corrected = {**readings, **wrong}
        self._store.replace(self._relation, lambda before: self._select_again(before, readings, wrong))
        return corrected

    def _doubtful(self, inferred: dict[int, Reading]) -> list[int]:
        """The columns whose guess a few counts over all records do not prove."""
        aggregates = []
        for i, reading in inferred.items():
            aggregates.append(f"count(s{i})")
            if reading.type is ColumnType.TEXT:
                aggregates.append(f"count(*) FILTER (WHERE s{i} >= '+' AND s{i} < ':')")
                aggregates.append(f"count(*) FILTER (WHERE strlen(s{i}) < 6 AND lower(s{i}) IN ('true', 'false'))")
            else:
                aggregates.append(f"count(*) FILTER (WHERE k{i} = 1)")
                aggregates.append(
                    f"count(*) FILTER (WHERE k{i} = 1 AND {_TELLS_APART[reading.type].format(s=f's{i}')})"
                )
        counts = self._connection.execute(f"SELECT {', '.join(aggregates)} FROM {self._relation}").fetchall()[0]
        doubtful = []
        for place, (i, reading) in enumerate(inferred.items()):
            cells, first, second = counts[3 * place : 3 * place + 3]
            if reading.type is ColumnType.TEXT:
                proven = not cells or (10 * first < 9 * cells and 10 * second < 9 * cells)
            else:
                proven = cells > 0 and first == cells and second > 0
            if not proven:
                doubtful.append(i)
        return doubtful

    def _conforming_counts(self, i: int, reading: Reading) -> dict[int, int]:
        """How many non-missing cells of a column conform to each set of types."""
        known = _IMPLIED.get(reading.type)
        types = conforming_types(f"s{i}")
        if known is not None:  # those that conform to the guess are known without a look
            types = f"CASE WHEN k{i} = 1 THEN {int(known)} ELSE {types} END"
        rows = self._connection.execute(
            f"SELECT {types} AS c, count(*) FROM {self._relation} WHERE s{i} IS NOT NULL GROUP BY c"
        ).fetchall()
        return dict(rows)

    def _select_again(self, before: str, readings: dict[int, Reading], wrong: dict[int, Reading]) -> str:
        """The canonical columns, those of wrongly guessed columns read anew from their canonical cells."""
        tested = ", ".join(["*", *(f"{reading.normal(f's{i}')} AS f{i}" for i, reading in wrong.items())])
        conforming = ["*"]
        kept = ["f", "r"]
        for i, reading in readings.items():
            kept.append(f"s{i}")
            again = wrong.get(i)
            now = again or reading
            if now.type is not ColumnType.TEXT:
                if again:
                    conforming.append(f"{again.conforms(f's{i}', f'f{i}')} AS again_k{i}")
                    kept.append(f"again_k{i} AS k{i}")
                else:
                    kept.append(f"k{i}")
            if now.type in NUMERIC:
                kept.append(f"{again.value(f's{i}', f'f{i}', f'again_k{i}')} AS x{i}" if again else f"x{i}")
        return (
            f"SELECT {', '.join([*kept, 'h'])} FROM (SELECT {', '.join(conforming)} FROM"
            f" (SELECT {tested} FROM {before}))"
        )

    def _columns(self, readings: dict[int, Reading]) -> tuple[Column, ...]:
        beyond = self._out_of_range(readings)
        columns = []
        for index, planned in enumerate(self._plan.columns):
            reading = readings.get(index)
            absent = ColumnType(planned.declared) if planned.declared else ColumnType.TEXT
            column_type = reading.type if reading else absent
            columns.append(
                Column(
                    name=planned.name,
                    index=index,
                    type=column_type,
                    declared=planned.declared is not None or bool(reading and reading.time_function),
                    present=reading is not None,
                    has_k=reading is not None and column_type is not ColumnType.TEXT,
                    has_x=reading is not None and column_type in NUMERIC,
                    out_of_range=beyond.get(index, 0),
                )
            )
        return tuple(columns)

    def _out_of_range(self, readings: dict[int, Reading]) -> dict[int, int]:
        numeric = [i for i, reading in readings.items() if reading.type in NUMERIC]
        if not numeric:
            return {}
        counted = ", ".join(f"count(*) FILTER (WHERE k{i} = 1 AND x{i} IS NULL)" for i in numeric)
        counts = self._connection.execute(f"SELECT {counted} FROM {self._relation}").fetchall()[0]
        return dict(zip(numeric, counts, strict=True))


# All the types of a cell that conforms to one of these; a decimal may be an integer too, a timestamp a date.
_IMPLIED = {
    ColumnType.INTEGER: Conforms.INTEGER | Conforms.DECIMAL,
    ColumnType.BOOLEAN: Conforms.BOOLEAN,
    ColumnType.DATE: Conforms.DATE | Conforms.TIMESTAMP,
}
# For each guessed type, what shows a conforming cell that no earlier type of the same family takes; `false` would
# leave every column in doubt, so the first of a family has a test that any cell passes.
_TELLS_APART = {
    ColumnType.INTEGER: "true",
    ColumnType.DECIMAL: "contains({s}, '.')",
    ColumnType.BOOLEAN: "true",
    ColumnType.DATE: "true",
    ColumnType.TIMESTAMP: "strlen({s}) > 10",
}
