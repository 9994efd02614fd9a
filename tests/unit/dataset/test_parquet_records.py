"""The text that the rules give to a Parquet value of each type."""

from __future__ import annotations

import datetime
import decimal
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiebang.dataset import parquet_records
from jiebang.dataset.canonical import canonicalise
from jiebang.dataset.opening import FileKind, open_dataset
from jiebang.dataset.tally import Tally
from jiebang.declaration import Declaration
from tests.unit.dataset.reading import read, source_of


def texts(array: pa.Array, folder: Path) -> list[Any]:
    """The canonical cells of one column, nothing but the empty string being missing."""
    data, scratch = folder / "data", folder / "scratch"
    data.mkdir(exist_ok=True)
    scratch.mkdir(exist_ok=True)
    pq.write_table(pa.table({"c": array}), data / "a.parquet")
    dataset = open_dataset([data], scratch=scratch)
    with canonicalise(dataset, Declaration.parse({"missing": [""]}), scratch=scratch) as found:
        (table,) = found.tables
        assert table.parsed
        return [cell for (cell,) in found.connection.execute(f"SELECT s0 FROM {table.relation} ORDER BY r").fetchall()]


DAY = datetime.date(2024, 2, 29)
MOMENT = datetime.datetime(2024, 2, 29, 13, 4, 5)
NESTED = pa.struct([("b", pa.list_(pa.float64())), ("a", pa.string()), ("t", pa.timestamp("ms", "UTC"))])


@pytest.mark.parametrize(
    ("array", "right"),
    [
        (pa.array([1, -5, None, 2**63 - 1]), ["1", "-5", None, "9223372036854775807"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([1.0, 0.1, 1e20, 1e-7, float("nan"), float("inf"), -float("inf"), -0.0]),
         ["1.0", "0.1", "1e+20", "1e-07", None, "inf", "-inf", "-0.0"]),
        (pa.array([0.1, 16777216.0, None, float("nan"), float("inf")], pa.float32()),
         ["0.1", "16777216.0", None, None, "inf"]),
        (pa.array(np.array([0.1, 65504], dtype=np.float16)), ["0.1", "65500.0"]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"b": 1}', None])), ['{"b": 1}', None]),
        (pa.array([DAY, None]), ["2024-02-29", None]),
        (pa.array([DAY], pa.date64()), ["2024-02-29"]),
        (pa.array([MOMENT, MOMENT.replace(microsecond=120), None]),
         ["2024-02-29T13:04:05", "2024-02-29T13:04:05.000120", None]),
        (pa.array([0, 1_500], pa.timestamp("ms", "Asia/Shanghai")),
         ["1970-01-01T00:00:00Z", "1970-01-01T00:00:01.500000Z"]),
        (pa.array([-1, 1_999], pa.timestamp("ns")), ["1969-12-31T23:59:59.999999", "1970-01-01T00:00:00.000001"]),
        (pa.array([datetime.time(1, 2, 3)]), ["01:02:03.000000"]),
        (pa.array([decimal.Decimal("1.50"), decimal.Decimal("-0.00")]), ["1.50", "0.00"]),
        (pa.array([decimal.Decimal("0.0000001"), decimal.Decimal("-0.25")]), ["0.0000001", "-0.2500000"]),
        (pa.array([decimal.Decimal("1" + "0" * 45 + ".50")], pa.decimal256(60, 2)), ["1" + "0" * 45 + ".50"]),
        (pa.array([" a ", "e\u0301", "NA", None]), ["a", "é", "NA", None]),
        (pa.array(["x", None, "y"]).dictionary_encode(), ["x", None, "y"]),
        (pa.nulls(2), [None, None]),
        (pa.array([[1, None], [], None]), ["[1,null]", "[]", None]),
        (pa.array([{"b": [1.0, float("nan")], "a": "e\u0301 ", "t": 0}, None], NESTED),
         ['{"a":"é ","b":[1.0,null],"t":"1970-01-01T00:00:00Z"}', None]),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), ['[["k",1]]']),
    ],
)  # fmt: skip
def test_a_value_has_the_text_of_its_type(array: pa.Array, right: list[str | None], tmp_path: Path) -> None:
    assert texts(array, tmp_path) == right


@settings(max_examples=20, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False), min_size=50, max_size=300))
def test_a_float_is_the_shortest_text_that_reads_back(values: list[float], folder: Path) -> None:
    assert texts(pa.array(values), folder) == [repr(value) for value in values]


@settings(max_examples=20, deadline=None)
@given(values=st.lists(st.floats(width=32, allow_nan=False), min_size=50, max_size=300))
def test_a_narrow_float_is_the_shortest_text_that_reads_back(values: list[float], folder: Path) -> None:
    found = texts(pa.array(values, pa.float32()), folder)
    for text, value in zip(found, values, strict=True):
        assert np.float32(text) == np.float32(value)
        assert significant(text) == significant(np.format_float_scientific(np.float32(value)))


def significant(text: str) -> str:
    """The significant digits of a number's text."""
    return text.lstrip("-").partition("e")[0].replace(".", "").strip("0")


def test_a_record_with_undecodable_text_fails(tmp_path: Path) -> None:
    words = [b"good", b"\xff\xfe", b"better"]
    offsets = np.cumsum([0, *map(len, words)]).astype(np.int32)
    text = pa.Array.from_buffers(pa.string(), 3, [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(words))])
    pq.write_table(pa.table({"n": pa.array([1, 2, 3]), "c": text}), tmp_path / "a.parquet")
    dataset = open_dataset([tmp_path / "a.parquet"], scratch=tmp_path)
    with canonicalise(dataset, Declaration.parse({}), scratch=tmp_path) as found:
        (table,) = found.tables
        assert (table.attempted, table.records, table.failures[0].row) == (3, 2, 2)
        rows = found.connection.execute(f"SELECT r, s1 FROM {table.relation} ORDER BY r").fetchall()
        assert rows == [(1, "good"), (3, "better")]


def test_repeated_names_are_numbered(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, tmp_path / "a.parquet")
    dataset = open_dataset([tmp_path / "a.parquet"], scratch=tmp_path)
    with canonicalise(dataset, Declaration.parse({}), scratch=tmp_path) as found:
        assert [column.name for column in found.tables[0].columns] == ["a", "a#2"]
        assert found.connection.execute(f"SELECT s0, s1 FROM {found.tables[0].relation}").fetchall() == [("1", "2")]


@pytest.mark.parametrize("claimed", [-100, -99, 0, 1, 99, 101, 120])
def test_a_row_group_that_lies_about_its_records_gains_nothing(claimed: int, folder: Path) -> None:
    target = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": list(range(130))}), target, row_group_size=100, store_schema=False)
    content = bytearray(target.getvalue())
    zigzag = 2 * claimed if claimed >= 0 else -2 * claimed - 1
    place = content.rindex(b"\x16\xc8\x01")  # Thrift's 100, the records of the first row group
    content[place + 1 : place + 3] = bytes([zigzag & 0x7F | 0x80, zigzag >> 7])
    found = read(bytes(content), folder, FileKind.PARQUET)
    # Claiming fewer is handing in fewer; the records of more, or of less than none, have failed.
    failed = found.attempted - len(found.records)
    assert failed == 0 if 0 <= claimed <= 100 else failed > 0
    assert len(found.failures) == min(1, failed)


def repeated(text: str, rows: int, *, dictionary: bool = False) -> bytes:
    """A Parquet file that holds a text once and repeats it; `dictionary` says so in its schema too."""
    column = pa.DictionaryArray.from_arrays(np.zeros(rows, dtype=np.int32), [text])
    target = io.BytesIO()
    pq.write_table(pa.table({"a": column, "b": pa.array(range(rows))}), target, store_schema=dictionary)
    return target.getvalue()


@pytest.mark.parametrize("dictionary", [False, True])
def test_batches_are_short_where_long_texts_are_repeated(
    dictionary: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_records, "_BATCH_TEXT", 10_000)
    source = source_of(repeated("名" * 333, 95, dictionary=dictionary), folder, FileKind.PARQUET)
    rows = [len(batch.ordinals) for batch in source.batches((0, 1), Tally("a"))]
    assert rows == [10] * 9 + [5]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_texts_of_every_kind_are_looked_at_for_their_length(
    kind: pa.DataType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_records, "_BATCH_TEXT", 1_000)
    target = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array([None, "x" * 100] * 10).cast(kind)}), target)
    source = source_of(target.getvalue(), folder, FileKind.PARQUET)
    assert [len(batch.ordinals) for batch in source.batches((0,), Tally("a"))] == [10, 10]


def test_what_a_file_expands_to_beyond_its_ratio_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = repeated("x" * 10_000, 2_000)
    assert len(content) < 30_000
    assert len(read(content, folder, FileKind.PARQUET).records) == 2_000  # 20 MB are no matter
    monkeypatch.setattr(parquet_records, "_EXPANDED", 1)
    monkeypatch.setattr(parquet_records, "_EXPANDED_RATIO", 10_010_000 // len(content))
    monkeypatch.setattr(parquet_records, "_BATCH_TEXT", 1_000_000)
    found = read(content, folder, FileKind.PARQUET)
    assert found.attempted == 2_000
    assert 900 <= len(found.records) <= 1_000
    (ordinal,) = found.failures
    assert ordinal == len(found.records) + 1
    assert "expands to more than 200 times" in found.failures[ordinal]
