"""What a canonical table is: its columns, its counts, and where its cells are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jiebang.result import Evidence


class ColumnType(StrEnum):
    """The type of a column; text is what remains when nothing else fits."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TEXT = "text"


class Fact(StrEnum):
    """What a canonical table holds beyond its cells: only what a measure of the run asks for and something declares."""

    INSTANTS = "instants"
    DOMAINS = "domains"
    CHARACTERS = "characters"
    SUMMANDS = "summands"


@dataclass(frozen=True)
class Column:
    """One column of a canonical table; its cells are the SQL columns `s{index}`, `k{index}` and `x{index}`.

    `s` is the trimmed text in NFC, NULL where missing. `k` (`has_k`: every present column that is not text) is 1 where
    the cell conforms to `type`, 0 where not, NULL where missing. `x` (`has_x`: integer and decimal) is the value in
    millionths, NULL where missing, not conforming or out of range; `out_of_range` counts the conforming cells whose
    value is beyond int64. `present` is false for a demanded column that the data has not: it is wholly missing and has
    no SQL columns. `declared` says whether the type was declared.

    Where they are asked for there are also `t` (`has_t`: the instant in microseconds since 1970-01-01T00:00 UTC, NULL
    where missing or no time), `d` (`has_d`: 1 where the cell is one of the declared values and matches the declared
    pattern, 0 where not, NULL where missing), and `l` and `e` (`has_l`: how many characters the cell has, and how many
    of them are damage; NULL where missing), and `y` (`has_y`: `x` where it is small enough to be added to others).
    """

    name: str
    index: int
    type: ColumnType
    declared: bool = False
    present: bool = True
    has_k: bool = False
    has_x: bool = False
    out_of_range: int = 0
    has_t: bool = False
    has_d: bool = False
    has_l: bool = False
    has_y: bool = False


@dataclass(frozen=True)
class Table:
    """One canonical table: `relation` names a table or view of the connection.

    Its SQL columns are `f` (index into `files`), `r` (ordinal of the attempted record in its file, from 1), those of
    the columns, and `h`, a hash of the columns of `identity` (those that make a record for DUP-1). `attempted` and
    `records` are all records and the parsed ones; `failures` points at the first that failed. `parsed` is false where
    no record could be attempted or a file could not be read; `missing` is true for a demanded table not handed in.
    `beyond` are the first columns of its files that no demand asks for, and that count nowhere. `finds` names the
    relation of personal data and secrets in its cells (`f`, `r`, `c` the index of the column, `d` the number of the
    class), None where nobody looked.
    """

    name: str
    files: tuple[str, ...]
    relation: str
    columns: tuple[Column, ...]
    identity: tuple[int, ...]
    attempted: int
    records: int
    failures: tuple[Evidence, ...] = ()
    parsed: bool = True
    missing: bool = False
    beyond: tuple[str, ...] = ()
    finds: str | None = None
