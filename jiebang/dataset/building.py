"""Building one canonical table: one pass over its files, then a check of the types that were guessed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby

import duckdb
import numpy as np
import pyarrow as pa

from jiebang.dataset.cell_sql import INSTANT, NUMERIC, Reading, install_time_format, raw_text
from jiebang.dataset.cells import canonical
from jiebang.dataset.inference import guess_type
from jiebang.dataset.planning import PlannedTable, Source
from jiebang.dataset.store import Store
from jiebang.dataset.table_sql import canonical_select, record_hash, select_again, select_nothing
from jiebang.dataset.tables import Column, ColumnType, Fact, Table
from jiebang.dataset.tally import MAX_FAILURES, Tally
from jiebang.dataset.text_columns import boolean_array, integer_array
from jiebang.dataset.verification import Counts, count_columns, wrong_types
from jiebang.result import Evidence

_SAMPLE_CELLS = 20_000
_SAMPLE_ROWS = (50, 1_000)


class TableBuilder:
    """Builds one planned table in a store."""

    def __init__(
        self,
        plan: PlannedTable,
        relation: str,
        store: Store,
        advanced: Callable[[int], None],
        facts: Collection[Fact] = (),
    ) -> None:
        self._plan = plan
        self._facts = facts
        self._present = [index for index, column in enumerate(plan.columns) if column.present]
        self._name = relation
        # A unique key tells records apart, so their hash is then hardly ever asked for, and not kept.
        keyed = bool(plan.declaration.key) and {plan.columns[index].name for index in self._present} >= set(
            plan.declaration.key
        )
        self._hashed = None if keyed else plan.identity()
        self._relation = f"{relation}_cells" if keyed else relation
        self._store = store
        self._connection = store.connection
        self._advanced = advanced
        self._tallies = [Tally(source.file.path) for source in plan.sources]
        self._failure: BaseException | None = None

    def build(self) -> Table:
        """Read the files, decide the types, and describe the table."""
        plan = self._plan
        guessed = self._guess()
        readings = {index: self._reading(index, guessed[place]) for place, index in enumerate(self._present)}
        self._read(readings)
        readings, counts = self._verify(readings)
        if self._hashed is None:
            hashed = f"SELECT *, {record_hash(plan.identity())} AS h FROM {self._relation}"
            self._connection.execute(f"CREATE VIEW {self._name} AS {hashed}").fetchall()
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
            relation=self._name,
            columns=self._columns(readings, counts),
            identity=plan.identity(),
            attempted=attempted,
            records=sum(tally.records for tally in self._tallies),
            failures=tuple(failures[:MAX_FAILURES]),
            parsed=attempted > 0 and not problems,
            missing=plan.missing,
            beyond=plan.beyond(),
        )

    def _read(self, readings: dict[int, Reading]) -> None:
        """Make the table out of what the files hold."""
        with closing(self._selects(readings)) as selects:
            try:
                self._store.create(self._relation, selects)
            except duckdb.Error:
                if self._failure is not None:
                    raise self._failure from None  # what went wrong in reading, of which DuckDB keeps the text alone
                raise

    def _reading(self, index: int, guessed: ColumnType) -> Reading:
        """How a column is read: as declared, else as guessed."""
        column, declared = self._plan.columns[index], self._plan.declaration
        column_type = ColumnType(column.declared) if column.declared else guessed
        wanted = self._wanted(column.name)
        reading = Reading(column_type, declared.missing_for(column.name))
        if column.name == declared.time and declared.time_format is not None:
            function = f"jb_time_{self._relation}"
            install_time_format(self._connection, function, declared.time_format)
            if column.declared is None:
                reading = replace(reading, type=ColumnType.TIMESTAMP)
            if reading.type is not ColumnType.TEXT:
                reading = replace(reading, time_function=function)
            if Fact.INSTANTS in wanted:
                reading = replace(reading, instant_function=function)
        elif Fact.INSTANTS in wanted:
            reading = replace(reading, instant_function=INSTANT)
        domain = declared.domains[column.name] if Fact.DOMAINS in wanted else None
        summand = Fact.SUMMANDS in wanted and reading.type in NUMERIC
        return replace(reading, domain=domain, characters=Fact.CHARACTERS in wanted, summand=summand)

    def _wanted(self, name: str) -> set[Fact]:
        """The facts that are kept of a column: of those asked for, what is declared to be of use."""
        declared = self._plan.declaration
        domain = declared.domains.get(name)
        of_use = {
            Fact.INSTANTS: name in declared.instants(),
            Fact.DOMAINS: domain is not None and domain.is_of_text,
            Fact.CHARACTERS: name in declared.text,
            Fact.SUMMANDS: name in declared.summands(),
        }
        return {fact for fact in self._facts if of_use[fact]}

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
        # As text, since Arrow has days that Python has not; and at once, since a single cell is slow to ask for.
        chosen = integer_array(np.arange(rows.start, rows.stop, rows.step))
        texts = cells.cast(pa.string()).take(chosen).to_pylist()
        return guess_type(cell for text in texts if text is not None and (cell := canonical(text, missing)) is not None)

    def _selects(self, readings: dict[int, Reading]) -> Generator[str, None, None]:
        """One select for each run of files whose columns have the same Arrow types."""
        plan = self._plan
        numbered = [(number, source) for number, source in enumerate(plan.sources) if source.problem is None]
        some = False
        useful = self._markers(readings)
        kinds = groupby(numbered, key=lambda entry: (entry[1].types(plan.wanted(entry[1])), entry[1].proves))
        for (types, proves), run in kinds:
            markers = useful if proves else {}
            fields = [("f", pa.int32()), ("r", pa.int64())]
            fields += [(f"c{index}", types[place]) for place, index in enumerate(self._present)]
            fields += [(f"g{self._present[place]}", pa.bool_()) for place in markers]
            schema = pa.schema(fields)
            view = f"raw_{self._relation}"
            reader = pa.RecordBatchReader.from_batches(schema, self._stream(schema, list(run), markers))
            self._connection.register(view, reader)
            texts = {index: raw_text(types[place], f"c{index}") for place, index in enumerate(self._present)}
            proofs = {self._present[place]: f"g{self._present[place]}" for place in markers}
            try:
                yield canonical_select(view, texts, readings, self._hashed, proofs)
            finally:
                self._connection.unregister(view)
            some = True
        if not some:
            yield select_nothing(readings, self._hashed)

    def _markers(self, readings: dict[int, Reading]) -> dict[int, int]:
        """By the place of each column of text: how long its longest missing marker is, in bytes."""
        return {
            place: max((len(marker.encode("utf-8")) for marker in readings[index].markers), default=0)
            for place, index in enumerate(self._present)
            if readings[index].is_text
        }

    def _stream(
        self, schema: pa.Schema, run: Sequence[tuple[int, Source]], markers: dict[int, int]
    ) -> Iterator[pa.RecordBatch]:
        try:
            for number, source in run:
                for batch in source.batches(self._plan.wanted(source), self._tallies[number], markers):
                    self._advanced(batch.bytes_read)
                    rows = len(batch.ordinals)
                    file = np.full(rows, number, dtype=np.int32)
                    files = pa.Array.from_buffers(pa.int32(), rows, [None, pa.py_buffer(file)], null_count=0)
                    nothing = np.zeros(rows, dtype=np.bool_)
                    proven = [boolean_array(batch.proven.get(place, nothing)) for place in markers]
                    yield pa.RecordBatch.from_arrays(
                        [files, integer_array(batch.ordinals), *batch.columns, *proven], schema=schema
                    )
        except BaseException as error:
            self._failure = error
            raise

    def _verify(self, readings: dict[int, Reading]) -> tuple[dict[int, Reading], dict[int, Counts]]:
        """The readings by the types that all records give, and counts; wrongly guessed columns are read again."""
        counts = count_columns(self._connection, self._relation, readings)
        inferred = [index for index in readings if self._is_inferred(index)]
        right = wrong_types(self._connection, self._relation, readings, counts, inferred)
        if not right:
            return readings, counts
        wrong = {index: replace(readings[index], type=found) for index, found in right.items()}
        self._store.replace(self._relation, lambda before: select_again(before, readings, wrong, self._hashed))
        return {**readings, **wrong}, {**counts, **count_columns(self._connection, self._relation, wrong)}

    def _columns(self, readings: dict[int, Reading], counts: dict[int, Counts]) -> tuple[Column, ...]:
        columns = []
        for index, planned in enumerate(self._plan.columns):
            reading = readings.get(index)
            absent = ColumnType(planned.declared) if planned.declared else ColumnType.TEXT
            column_type = reading.type if reading else absent
            has_x = reading is not None and column_type in NUMERIC
            columns.append(
                Column(
                    name=planned.name,
                    index=index,
                    type=column_type,
                    declared=planned.declared is not None or bool(reading and reading.time_function),
                    present=reading is not None,
                    has_k=reading is not None and column_type is not ColumnType.TEXT,
                    has_x=has_x,
                    out_of_range=counts[index].conforming - counts[index].valued if has_x else 0,
                    has_t=reading is not None and reading.instant_function is not None,
                    has_d=reading is not None and reading.domain is not None,
                    has_l=reading is not None and reading.characters,
                    has_y=reading is not None and reading.summand,
                )
            )
        return tuple(columns)
