"""What a Parquet file may hold that Python's own types cannot: it is read, and never ends the reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jiebang
from jiebang.dataset.opening import FileKind
from tests.unit.dataset.reading import read, source_of

FAR = 2**31 - 1


def parquet(column: pa.Array) -> bytes:
    target = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": column}), target)
    content: bytes = target.getvalue().to_pybytes()
    return content


def nested(value: Any, inner: pa.DataType) -> pa.Array:
    return pa.array([[value]], pa.list_(inner))


VALUES: dict[str, tuple[pa.Array, str | None]] = {
    "a zoned timestamp in a list": (
        nested(1_500_000, pa.timestamp("us", "Asia/Shanghai")),
        '["1970-01-01T00:00:01.500000Z"]',
    ),
    "a zone that nobody knows": (nested(0, pa.timestamp("us", "Asia/Nowhere")), '["1970-01-01T00:00:00Z"]'),
    "a day after Python's last": (nested(FAR, pa.int32()).cast(pa.list_(pa.date32())), '["5881580-07-11"]'),
    "a moment after Python's last": (nested(2**60, pa.timestamp("us")), '["38504-08-17T21:30:06.846976"]'),
    "nanoseconds": (nested(1_001, pa.timestamp("ns")), '["1970-01-01T00:00:00.000001"]'),
    "a time of day": (pa.array([3_723_000_000_999], pa.time64("ns")), "01:02:03.000000"),
    "a duration": (pa.array([2**62], pa.duration("s")), str(2**62)),
    "a narrow number in a list": (nested(0.1, pa.float32()), "[0.1]"),
    "no number in a list": (nested(float("nan"), pa.float64()), "[null]"),
    "a map": (pa.array([[("b", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8())), '[["b",1],["a",2]]'),
    "a structure": (pa.array([{"b": True, "a": None}]), '{"a":null,"b":true}'),
    "a wide decimal": (pa.array(["1.50"], pa.string()).cast(pa.decimal256(70, 2)), "1.50"),
    "nothing": (pa.nulls(1), None),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_rare_value_has_the_text_of_the_rules(name: str, folder: Path) -> None:
    column, text = VALUES[name]
    assert read(parquet(column), folder, FileKind.PARQUET).records == {1: (text,)}


def test_a_structure_with_two_fields_of_one_name_is_told(folder: Path) -> None:
    inner = pa.struct([("n", pa.int8()), ("n", pa.int8())])
    column = pa.StructArray.from_arrays([pa.array([1], pa.int8())] * 2, fields=list(inner))
    source = source_of(parquet(column), folder, FileKind.PARQUET)
    assert source.problem == "column 'a' holds two fields of one name"


def test_a_column_of_days_that_python_has_not_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "far.parquet"
    path.write_bytes(parquet(pa.array([FAR, -FAR], pa.int32()).cast(pa.date32())))
    report = jiebang.score(path)
    assert (report["COM-1"].num, report["COM-1"].den) == (2, 2)
