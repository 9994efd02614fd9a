"""The text of a Parquet value of a rarer type, by the rules.

Values are taken from Arrow as integers wherever Python's own types hold less than Arrow does: a file may hold days and
times that no calendar of Python has, zones that no database knows, and structures with two fields of one name.
"""

from __future__ import annotations

import decimal
import math
from typing import Any

import numpy as np
import pyarrow as pa

from jiebang.dataset.json_values import Lexeme, container_text

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_MILLISECONDS_A_DAY = 86_400_000


def value_text(scalar: pa.Scalar) -> bytes | None:
    """The text of a value as a cell; None where there is none."""
    value = _value(scalar)
    if value is None:
        return None
    return (container_text(value) if isinstance(value, dict | list) else str(value)).encode("utf-8")


def _value(scalar: pa.Scalar) -> Any:
    """A value in the terms of JSON: numbers as they are written, times as text, NaN as null."""
    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.ExtensionScalar | pa.DictionaryScalar):
        return _value(scalar.value)
    kind = scalar.type
    if pa.types.is_map(kind):
        return [[_value(entry[0]), _value(entry[1])] for entry in scalar.values]
    if pa.types.is_struct(kind):
        return {kind.field(index).name: _value(scalar[index]) for index in range(kind.num_fields)}
    if pa.types.is_nested(kind):
        return [_value(item) for item in scalar.values]
    if pa.types.is_timestamp(kind):
        return _moment(scalar.value, kind.unit) + ("Z" if kind.tz is not None else "")
    if pa.types.is_date(kind):
        days = scalar.value if pa.types.is_date32(kind) else scalar.value // _MILLISECONDS_A_DAY
        return str(np.datetime64(days, "D"))
    if pa.types.is_time(kind):
        return _time_of_day(scalar.value, kind.unit)
    if pa.types.is_duration(kind):
        return Lexeme(scalar.value)
    return _plain(scalar.as_py(), kind)


def _plain(value: Any, kind: pa.DataType) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if not pa.types.is_float64(kind):
            narrow = np.float16 if pa.types.is_float16(kind) else np.float32
            value = float(str(narrow(value)))  # the shortest text that reads back as the narrow number
        return Lexeme(repr(value)) if math.isfinite(value) else repr(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int | decimal.Decimal):
        return Lexeme(format(value, "f") if isinstance(value, decimal.Decimal) else value)
    return value


def _moment(count: int, unit: str) -> str:
    """A timestamp in ISO, cut down to the microsecond, the fraction left out where it is zero."""
    seconds, rest = divmod(count, _PER_SECOND[unit])
    micros = rest * 1_000_000 // _PER_SECOND[unit]
    return str(np.datetime64(seconds, "s")) + (f".{micros:06d}" if micros else "")


def _time_of_day(count: int, unit: str) -> str:
    seconds, rest = divmod(count, _PER_SECOND[unit])
    micros = rest * 1_000_000 // _PER_SECOND[unit]
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{micros:06d}"
