"""The records of a Parquet file, each value as the text that the rules give it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jiebang.dataset.dialect import column_names
from jiebang.dataset.opening import DataFile
from jiebang.dataset.parquet_values import value_text
from jiebang.dataset.tally import TOO_MANY_COLUMNS, Batch, Tally
from jiebang.dataset.text_columns import nullable_view_array
from jiebang.declaration import MAX_COLUMNS
from jiebang.gates.limits import Limits

_BATCH_CELLS = 1 << 20
_BATCH_ROWS = (1_000, 65_536)
_BATCH_TEXT = 1 << 28
# What a file may expand to, a byte for each cell and what texts hold: so much always, else so often its own size.
_EXPANDED = 1 << 30
_EXPANDED_RATIO = Limits().member_ratio
_UNDECODABLE = "it holds an undecodable byte"
_DAMAGED = "the row group is damaged from here on"
_TOO_LARGE = f"the file expands to more than {_EXPANDED_RATIO} times its size, and what follows is not read"
# DuckDB writes these as the rules do, much faster than it could be done here.
_PLAIN = (
    pa.types.is_integer,
    pa.types.is_boolean,
    pa.types.is_date,
    pa.types.is_float64,
    lambda column_type: pa.types.is_decimal128(column_type),
)


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file whose footer has been read."""

    file: DataFile
    schema: pa.Schema
    names: tuple[str, ...]
    text_bytes: int
    problem: str | None = None
    family: str = "parquet"

    @property
    def proves(self) -> bool:
        """Cells come without proofs."""
        return False

    def types(self, wanted: Sequence[int | None]) -> tuple[pa.DataType, ...]:
        """The Arrow types that the wanted columns have in the batches."""
        return tuple(
            pa.string_view() if index is None else _type_given(_storage(self.schema.field(index).type))
            for index in wanted
        )

    def batches(
        self, wanted: Sequence[int | None], tally: Tally, markers: Mapping[int, int] | None = None
    ) -> Iterator[Batch]:
        """The records, in batches of the wanted columns."""
        if self.problem is not None:
            return
        types = self.types(wanted)
        least, most = _BATCH_ROWS
        rows = max(least, min(most, _BATCH_CELLS // max(1, len(self.names))))
        with pq.ParquetFile(self.file.location, pre_buffer=False) as parquet:
            metadata = parquet.metadata
            share = self.text_bytes / max(1, metadata.num_rows)
            left = max(_EXPANDED, _EXPANDED_RATIO * self.file.bytes)
            texts = _RepeatedTexts(self.file.location, parquet)
            for group in range(metadata.num_row_groups):
                following = tally.attempted + metadata.row_group(group).num_rows
                size = max(1, min(rows, _BATCH_TEXT // max(1, texts.longest(group))))
                batches = parquet.iter_batches(batch_size=size, row_groups=[group], use_threads=False)
                whole = True
                while True:
                    try:
                        records = next(batches, None)
                    except (OSError, pa.ArrowException):
                        whole = False
                        break
                    if records is None:
                        break
                    batch = self._batch(records, wanted, types, tally, share)
                    left -= sum(map(_weight, batch.columns))
                    if left < 0:
                        tally.records -= len(batch.ordinals)
                        tally.failed(int(batch.ordinals[0]), _TOO_LARGE)
                        tally.attempted = max(tally.attempted, metadata.num_rows)
                        return
                    yield batch
                if not whole or tally.attempted != following:
                    # The number of records is the file's own word, which may be false in both directions.
                    tally.failed(tally.attempted + 1, _DAMAGED)
                    tally.attempted = max(tally.attempted + 1, following)

    def _batch(
        self,
        records: pa.RecordBatch,
        wanted: Sequence[int | None],
        types: Sequence[pa.DataType],
        tally: Tally,
        share: float,
    ) -> Batch:
        ordinals = np.arange(tally.attempted + 1, tally.attempted + 1 + len(records), dtype=np.int64)
        tally.attempted += len(records)
        good = _decodable(records)
        if not good.all():
            for ordinal in ordinals[~good][:20]:
                tally.failed(int(ordinal), _UNDECODABLE)
            kept = pa.Array.from_buffers(
                pa.bool_(), len(good), [None, pa.py_buffer(np.packbits(good, bitorder="little"))]
            )
            records, ordinals = records.filter(kept), ordinals[good]
        tally.records += len(records)
        columns = [
            pa.nulls(len(records), pa.string_view()) if index is None else _column(records.column(index), column_type)
            for index, column_type in zip(wanted, types, strict=True)
        ]
        return Batch(ordinals, columns, int(len(records) * share))


class _RepeatedTexts:
    """The texts that a Parquet file holds once and repeats by their number, which costs it next to nothing."""

    def __init__(self, location: Path, parquet: pq.ParquetFile) -> None:
        flat = {field.name for field in parquet.schema_arrow if _is_text(_storage(field.type))}
        leaves = [parquet.schema.column(index).path for index in range(len(parquet.schema))]
        self._columns = [path for path in leaves if path in flat]
        self._location = location

    def longest(self, group: int) -> int:
        """How many bytes the longest repeated texts of a row group's columns have together."""
        if not self._columns:
            return 0
        try:
            with pq.ParquetFile(self._location, read_dictionary=self._columns, pre_buffer=False) as parquet:
                one = parquet.iter_batches(1, row_groups=[group], columns=self._columns, use_threads=False)
                record = next(one, None)  # with one record come all repeated texts
        except (OSError, pa.ArrowException):
            return 0  # then the records themselves cannot be read either
        return sum(map(_longest, record.columns)) if record is not None else 0


def _longest(column: pa.Array) -> int:
    column = column.storage if isinstance(column, pa.ExtensionArray) else column
    texts = column.dictionary if isinstance(column, pa.DictionaryArray) else column
    return pc.max(pc.binary_length(texts)).as_py() or 0


def _weight(column: pa.Array) -> int:
    """How many bytes a column's texts hold; a byte for each cell of another."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pc.sum(pc.binary_length(column)).as_py() or 0
    return column.nbytes if pa.types.is_string_view(column.type) else len(column)


def open_parquet(file: DataFile) -> ParquetFile:
    """Read the footer of a Parquet file; why one cannot be read (a binary column, say) is told in `problem`."""
    try:
        with pq.ParquetFile(file.location) as parquet:
            schema = parquet.schema_arrow
            groups = range(parquet.metadata.num_row_groups)
            size = sum(parquet.metadata.row_group(group).total_byte_size for group in groups)
            # Repeated values take next to nothing in the file, but as much as any other in a table.
            size = max(size, parquet.metadata.num_rows * len(schema) * 10)
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return ParquetFile(file, pa.schema([]), (), 0, "it is not a readable Parquet file")
    problems = (
        f"column {field.name!r:.80} {why}"
        for test, why in ((_holds_binary, "is binary"), (_repeats_a_name, "holds two fields of one name"))
        for field in schema
        if test(field.type)
    )
    if len(schema) > MAX_COLUMNS:
        return ParquetFile(file, pa.schema([]), (), 0, TOO_MANY_COLUMNS)
    return ParquetFile(file, schema, column_names(schema.names), max(size, file.bytes), next(problems, None))


def _storage(column_type: pa.DataType) -> pa.DataType:
    while True:
        if isinstance(column_type, pa.BaseExtensionType):
            column_type = column_type.storage_type
        elif pa.types.is_dictionary(column_type):
            column_type = column_type.value_type
        else:
            return column_type


def _holds_binary(column_type: pa.DataType) -> bool:
    column_type = _storage(column_type)
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    if any(test(column_type) for test in tests):
        return True
    if pa.types.is_nested(column_type):
        return any(_holds_binary(column_type.field(index).type) for index in range(column_type.num_fields))
    return False


def _repeats_a_name(column_type: pa.DataType) -> bool:
    """Whether a type holds a structure with two fields of one name, which no JSON text can tell apart."""
    column_type = _storage(column_type)
    if not pa.types.is_nested(column_type):
        return False
    inner = [column_type.field(index) for index in range(column_type.num_fields)]
    repeats = pa.types.is_struct(column_type) and len({field.name for field in inner}) < len(inner)
    return repeats or any(_repeats_a_name(field.type) for field in inner)


def _type_given(column_type: pa.DataType) -> pa.DataType:
    if any(test(column_type) for test in _PLAIN):
        return column_type
    if pa.types.is_floating(column_type):
        return pa.float64()
    return column_type if _is_text(column_type) else pa.string_view()


def _is_text(column_type: pa.DataType) -> bool:
    return any(test(column_type) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _decodable(records: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Which records hold no undecodable text."""
    good = np.ones(len(records), dtype=np.bool_)
    for column in records.columns:
        try:
            column.validate(full=True)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            for row in range(len(column)):
                try:
                    value_text(column[row])
                except UnicodeDecodeError:
                    good[row] = False
    return good


def _column(column: pa.Array, given: pa.DataType) -> pa.Array:
    """A column as it is given to DuckDB: text, or a type that DuckDB writes as the rules do."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    column_type = column.type
    if column_type == given:
        return column
    if pa.types.is_floating(column_type):
        return _shortest(column)
    if pa.types.is_timestamp(column_type):
        return _timestamps(column)
    return nullable_view_array([value_text(value) for value in column])


def _shortest(column: pa.Array) -> pa.Array:
    """Narrow floats as the wide ones whose shortest text is theirs: 0.1 stays 0.1."""
    values = column.to_numpy(zero_copy_only=False)
    wide = values.astype("U32").astype(np.float64)
    missing = pc.is_null(column).to_numpy(zero_copy_only=False)
    validity = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(pa.float64(), len(wide), [validity, pa.py_buffer(wide)])


def _timestamps(column: pa.Array) -> pa.Array:
    """Timestamps in ISO, cut down to the microsecond, the fraction left out where it is zero; zoned ones in UTC."""
    zone = b"Z" if column.type.tz is not None else b""
    unit = column.type.unit
    counts = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    if unit == "ns":
        counts, unit = counts // 1000, "us"
    times = counts.astype(f"datetime64[{unit}]")
    per_second = {"s": 1, "ms": 1_000, "us": 1_000_000}[unit]
    seconds = np.datetime_as_string(times, unit="s").astype("S")
    whole = counts % per_second == 0
    texts = seconds.tolist()
    fractions = counts % per_second * (1_000_000 // per_second)
    for row in np.flatnonzero(~whole).tolist():
        texts[row] += b".%06d" % fractions[row]
    present = pc.is_valid(column).to_numpy(zero_copy_only=False).tolist()
    return nullable_view_array([text + zone if held else None for text, held in zip(texts, present, strict=True)])
