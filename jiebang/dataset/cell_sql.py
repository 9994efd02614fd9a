"""The SQL that turns the raw text of a column into its canonical cells `s`, its conformity `k` and its value `x`.

Each column has one cheap test that proves everything about a normal cell (trimmed, not missing, composed, of its
type); only cells that fail it take the literal path, and of these the ones that SQL does not read exactly as the rules
do go to the plain Python of `cells`. A test may be true only where the plain reading agrees: property tests hold it to
that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from duckdb.func import ARROW, SPECIAL

from jiebang.constraints import Domain
from jiebang.dataset.cells import Conforms, conforming, millionths, trim
from jiebang.dataset.damage import SUSPECT, damage
from jiebang.dataset.tables import ColumnType
from jiebang.dataset.text_columns import nullable_view_array
from jiebang.rules import LARGEST_TERM
from jiebang.times import by_format, instant

BIT = {
    ColumnType.INTEGER: Conforms.INTEGER,
    ColumnType.DECIMAL: Conforms.DECIMAL,
    ColumnType.BOOLEAN: Conforms.BOOLEAN,
    ColumnType.DATE: Conforms.DATE,
    ColumnType.TIMESTAMP: Conforms.TIMESTAMP,
}
NUMERIC = (ColumnType.INTEGER, ColumnType.DECIMAL)

# Code points that are their own composed form wherever they stand (quick check yes, combining class 0).
_STABLE = r"\x{00}-\x{2FF}\x{2010}-\x{2027}\x{3000}-\x{3029}\x{3041}-\x{3096}\x{4E00}-\x{9FA5}\x{FF01}-\x{FF60}"
# The same without space, tab, CR, LF, U+00A0 and U+3000.
_STABLE_EDGE = (
    r"\x{00}-\x{08}\x{0B}\x{0C}\x{0E}-\x{1F}\x{21}-\x{9F}\x{A1}-\x{2FF}\x{2010}-\x{2027}"
    r"\x{3001}-\x{3029}\x{3041}-\x{3096}\x{4E00}-\x{9FA5}\x{FF01}-\x{FF60}"
)
_NORMAL_TEXT = f"(?s)[{_STABLE_EDGE}](?:[{_STABLE}]*[{_STABLE_EDGE}])?"
_EDGE = r"\A[ \t\r\n\x{A0}\x{3000}]|[ \t\r\n\x{A0}\x{3000}]\z"
_TRIMMED_SQL = "' ' || chr(9) || chr(10) || chr(13) || chr(160) || chr(12288)"

_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?"
_DASHED = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_NUMBER = r"[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?"
_SHORT_EXPONENT = "[+-]?[0-9]{0,25}([.][0-9]{0,25})?[eE][+-]?[0-9]{1,2}"
_DAY = "[0-9]{4}(-[0-9]{2}-|/[0-9]{2}/)[0-9]{2}"
# Timestamps that a cast reads exactly as the rules do; it does not heed an offset.
_PLAIN_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?Z?)?"
# What any cell with a type other than text and boolean looks like; a superset.
_TYPED_SHAPE = f"{_NUMBER}|({_DAY})([T ]{_CLOCK})?"


INSTANT = "jb_instant"
"""The function that makes an instant out of a date or timestamp as the types are written."""


def quoted(text: str) -> str:
    """The text as an SQL string literal."""
    # A NUL would end the statement, so it is put together from parts.
    parts = ["'" + part.replace("'", "''") + "'" for part in text.split("\0")]
    return parts[0] if len(parts) == 1 else "(" + " || chr(0) || ".join(parts) + ")"


def in_list(expression: str, texts: Iterable[str]) -> str:
    """SQL that is true where the expression is one of the texts; false for no texts."""
    listed = ", ".join(quoted(text) for text in texts)
    return f"({expression} IN ({listed}))" if listed else "false"


def raw_text(column_type: pa.DataType, expression: str) -> str:
    """SQL for the text of a raw cell, as the rules write a value of its Arrow type."""
    if pa.types.is_string_view(column_type) or pa.types.is_string(column_type) or pa.types.is_large_string(column_type):
        return expression
    if pa.types.is_float64(column_type):
        return f"CASE WHEN isnan({expression}) THEN NULL ELSE CAST({expression} AS VARCHAR) END"
    text = f"CAST({expression} AS VARCHAR)"
    if pa.types.is_decimal128(column_type) and column_type.precision == column_type.scale:
        return f"regexp_replace({text}, '^(-?)[.]', '\\10.')"  # DuckDB leaves out a zero that no digit is kept for
    return text


@dataclass(frozen=True)
class Reading:
    """How one column's cells are read: its type, its missing markers, and the function for a declared time format.

    `instant_function` makes instants out of texts, where instants are kept; `domain` is what cells are held against,
    `characters` says whether they are counted and `summand` whether numbers are added to others.
    """

    type: ColumnType
    missing: tuple[str, ...]
    time_function: str | None = None
    instant_function: str | None = None
    domain: Domain | None = None
    characters: bool = False
    summand: bool = False

    @property
    def markers(self) -> tuple[str, ...]:
        """The markers a canonical cell can equal: those with outer blanks, or not composed, never do."""
        return tuple(marker for marker in self.missing if trim(marker) == marker)

    @property
    def is_text(self) -> bool:
        """Whether any text is normal: that of a text column, or of one that a time format decides."""
        return self.type is ColumnType.TEXT or self.time_function is not None

    def normal(self, c: str) -> str:
        """SQL that is true only where `c` is canonical as it stands, not missing, and of the type (or text)."""
        if self.is_text:
            return f"(regexp_full_match({c}, {quoted(_NORMAL_TEXT)}) AND NOT {in_list(c, self.markers)})"
        # A number or date that is declared a marker (-999, 1900-01-01) is not normal; other markers never pass.
        typed = [marker for marker in self.markers if conforming(marker) & BIT[self.type]]
        excluded = f" AND NOT {in_list(c, typed)}" if typed else ""
        return f"({_NORMAL[self.type](c)}{excluded})"

    def composed(self, c: str, f: str) -> str:
        """SQL for the trimmed and composed cell of `c`, where `f` is its `normal` test; common markers give NULL."""
        trimmed = f"CASE WHEN regexp_matches({c}, {quoted(_EDGE)}) THEN trim({c}, {_TRIMMED_SQL}) ELSE {c} END"
        known = f" WHEN {in_list(c, self.markers)} THEN NULL" if self.markers else ""
        # nfc_normalize stops at a NUL.
        return (
            f"CASE WHEN {f} THEN {c}{known} WHEN contains({c}, chr(0)) THEN jb_trim({c})"
            f" ELSE nfc_normalize({trimmed}) END"
        )

    def canonical(self, n: str, f: str) -> str:
        """SQL for the canonical cell, where `n` is the composed one: NULL where it is a missing marker."""
        if not self.markers:
            return n
        return f"CASE WHEN {f} THEN {n} WHEN {in_list(n, self.markers)} THEN NULL ELSE {n} END"

    def conforms(self, s: str, f: str) -> str:
        """SQL for `k`: whether the canonical cell `s` conforms to the type; `f` proves it where true."""
        if self.time_function is not None:
            return f"CASE WHEN {s} IS NULL THEN NULL ELSE CAST({self.time_function}({s}) IS NOT NULL AS TINYINT) END"
        return (
            f"CASE WHEN {f} THEN 1::TINYINT WHEN {s} IS NULL THEN NULL"
            f" ELSE CAST(coalesce({_CONFORMS[self.type](s)}, false) AS TINYINT) END"
        )

    def value(self, s: str, f: str, k: str) -> str:
        """SQL for `x`: the value of a numeric cell in millionths."""
        if self.type is ColumnType.INTEGER and self.time_function is None:
            # A normal integer has at most twelve digits.
            return (
                f"CASE WHEN {f} THEN TRY_CAST({s} AS BIGINT) * 1000000"
                f" WHEN {k} = 1 THEN TRY_CAST(CAST(TRY_CAST({s} AS BIGINT) AS HUGEINT) * 1000000 AS BIGINT) END"
            )
        proof = f if self.time_function is None else "false"
        # The casts are exact and round half away from zero, as far as they are used here.
        small = f"abs(TRY_CAST({s} AS DOUBLE)) < 1e14 AND regexp_full_match({s}, {quoted(_SHORT_EXPONENT)})"
        return (
            f"CASE WHEN {proof} OR ({k} = 1 AND regexp_full_match({s}, '[+-]?[0-9]*[.]?[0-9]*'))"
            f" THEN TRY_CAST({s} || 'e6' AS BIGINT)"
            f" WHEN {k} = 1 AND {small} THEN TRY_CAST(TRY_CAST({s} AS DECIMAL(38, 6)) * 1000000 AS BIGINT)"
            f" WHEN {k} = 1 THEN jb_millionths({s}) END"
        )

    def facts(self, index: int) -> dict[str, tuple[str, str]]:
        """The columns that are kept beside `s`, `k` and `x`: by their names, the SQL type and the SQL over these."""
        s = f"s{index}"
        kept: dict[str, tuple[str, str]] = {}
        if self.instant_function is not None:
            kept[f"t{index}"] = ("BIGINT", self._instant(s))
        if self.domain is not None:
            kept[f"d{index}"] = ("TINYINT", _within(s, self.domain))
        if self.characters:
            kept[f"l{index}"] = ("BIGINT", f"CAST(length({s}) AS BIGINT)")
            damage = f"CASE WHEN regexp_matches({s}, {quoted(SUSPECT)}) THEN jb_damage({s}) ELSE 0 END"
            kept[f"e{index}"] = ("BIGINT", f"CASE WHEN {s} IS NULL THEN NULL ELSE {damage} END")
        if self.summand:
            x = f"x{index}"
            kept[f"y{index}"] = ("BIGINT", f"CASE WHEN {x} >= {-LARGEST_TERM} AND {x} <= {LARGEST_TERM} THEN {x} END")
        return kept

    def _instant(self, s: str) -> str:
        if self.instant_function != INSTANT:
            return f"{self.instant_function}({s})"
        plain = f"regexp_full_match({s}, {quoted(_PLAIN_TIME)}) AND {_day(f'left({s}, 10)')}"
        return f"CASE WHEN {plain} THEN epoch_us(TRY_CAST({s} AS TIMESTAMP)) ELSE {INSTANT}({s}) END"


def _within(s: str, domain: Domain) -> str:
    tests = [in_list(s, domain.values)] if domain.values else []
    if domain.pattern is not None:
        tests.append(f"regexp_full_match({s}, {quoted(domain.pattern)})")
    return f"CASE WHEN {s} IS NULL THEN NULL ELSE CAST({' AND '.join(tests)} AS TINYINT) END"


def _day(c: str) -> str:
    return f"TRY_CAST({c} AS DATE) IS NOT NULL AND {c} >= '0001'"


_NORMAL: dict[ColumnType, Callable[[str], str]] = {
    ColumnType.INTEGER: lambda c: f"regexp_full_match({c}, '[+-]?[0-9]{{1,12}}')",
    ColumnType.DECIMAL: lambda c: f"regexp_full_match({c}, '[+-]?[0-9]{{1,12}}(\\.[0-9]{{0,30}})?')",
    ColumnType.BOOLEAN: lambda c: in_list(c, ("true", "false", "True", "False", "TRUE", "FALSE")),
    ColumnType.DATE: lambda c: (
        # A CASE, since OR would look at both patterns of every cell.
        f"CASE WHEN {c} GLOB '{_DASHED}' THEN true ELSE {c} GLOB '{_DASHED.replace('-[', '/[')}' END AND {_day(c)}"
    ),
    ColumnType.TIMESTAMP: lambda c: (
        f"regexp_full_match({c}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([T ]{_CLOCK})?') AND {_day(f'left({c}, 10)')}"
    ),
}


# Whether a canonical cell conforms; Python is asked only where the text of a number is long or has an exponent.
_CONFORMS: dict[ColumnType, Callable[[str], str]] = {
    ColumnType.INTEGER: lambda s: (
        f"regexp_full_match({s}, '[+-]?[0-9]+') AND (strlen({s}) < 19 OR TRY_CAST({s} AS BIGINT) IS NOT NULL)"
    ),
    ColumnType.DECIMAL: lambda s: (
        f"CASE WHEN regexp_full_match({s}, '[+-]?([0-9]{{1,32}}([.][0-9]*)?|[.][0-9]+)') THEN true"
        f" WHEN regexp_full_match({s}, {quoted(_NUMBER)}) THEN (jb_conforms({s}) & {int(Conforms.DECIMAL)}) <> 0"
        " ELSE false END"
    ),
    ColumnType.BOOLEAN: lambda s: f"strlen({s}) < 6 AND lower({s}) IN ('true', 'false')",
    ColumnType.DATE: lambda s: f"regexp_full_match({s}, {quoted(_DAY)}) AND {_day(s)}",
    ColumnType.TIMESTAMP: lambda s: (
        f"regexp_full_match({s}, {quoted(f'({_DAY})([T ]{_CLOCK})?')}) AND {_day(f'left({s}, 10)')}"
    ),
}


def conforming_types(s: str) -> str:
    """SQL for the types that a canonical cell conforms to, as the number of its `Conforms`."""
    bits = " + ".join(
        f"CASE WHEN coalesce({_CONFORMS[column_type](s)}, false) THEN {int(bit)} ELSE 0 END"
        for column_type, bit in BIT.items()
    )
    # Few cells of a text look like any type.
    shaped = f"regexp_full_match({s}, {quoted(_TYPED_SHAPE)}) OR lower({s}) IN ('true', 'false')"
    return f"CASE WHEN {shaped} THEN {bits} ELSE 0 END"


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the connection the plain reading of cells as functions: `jb_trim`, `jb_conforms` and those of numbers."""
    _create(connection, "jb_trim", "VARCHAR", lambda texts: nullable_view_array([_trimmed(text) for text in texts]))
    _create(
        connection,
        "jb_conforms",
        "TINYINT",
        lambda texts: _integers(texts, lambda text: int(conforming(text)), np.int8, pa.int8()),
    )
    for name, function in (("jb_millionths", millionths), (INSTANT, instant), ("jb_damage", damage)):
        _create_integer(connection, name, function)


def install_time_format(connection: duckdb.DuckDBPyConnection, name: str, time_format: str) -> None:
    """Give the connection a function that makes an instant out of a time in the declared format, NULL out of others."""
    _create_integer(connection, name, by_format(time_format))


def _create_integer(connection: duckdb.DuckDBPyConnection, name: str, function: Callable[[str], int | None]) -> None:
    _create(connection, name, "BIGINT", lambda texts: _integers(texts, function, np.int64, pa.int64()))


def _create(
    connection: duckdb.DuckDBPyConnection, name: str, returns: str, function: Callable[[list[str | None]], pa.Array]
) -> None:
    connection.create_function(
        name, lambda column: function(column.to_pylist()), ["VARCHAR"], returns, type=ARROW, null_handling=SPECIAL
    )


def _trimmed(text: str | None) -> bytes | None:
    return None if text is None else trim(text).encode("utf-8")


def _integers(
    texts: list[str | None],
    function: Callable[[str], int | None],
    numpy_type: type[np.signedinteger],
    type: pa.DataType,
) -> pa.Array:
    known: dict[str | None, int | None] = {None: None}
    for text in texts:
        if text not in known:
            known[text] = function(text)  # type: ignore[arg-type]  # None is known
    results = [known[text] for text in texts]
    values = np.fromiter((result or 0 for result in results), dtype=numpy_type, count=len(results))
    present = np.fromiter((result is not None for result in results), dtype=np.bool_, count=len(results))
    validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(type, len(values), [validity, pa.py_buffer(values)])
