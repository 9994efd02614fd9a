"""What a measure is: a pure plan that asks for integers and ends in a result.

A plan is a generator. It yields what it wants to know (`Aggregate`, `Rows`), is sent the answers, may ask again, and
returns its `MeasureResult`; it never touches data. So the planner can put what all measures ask in one round into as
few scans as possible, and any engine that reads the portable subset of SQL can answer. The SQL speaks of a canonical
table's columns: `f` (which file), `r` (which attempted record of it), `h` (a hash of the record), and for column i
`s{i}` (text or NULL), `k{i}` (1 conforms to its type, 0 not), `x{i}` (the value in millionths as int64), and for the
`facts` that a measure asks for `t{i}` (the instant), `d{i}` (1 in its domain, 0 not), `l{i}` and `e{i}` (characters and
damaged ones), `y{i}` (a number that may be added).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from jiebang.declaration import Declaration, TableDeclaration
from jiebang.result import Evidence, MeasureResult, Status

if TYPE_CHECKING:
    from jiebang.dataset.tables import Column, Fact, Table
    from jiebang.structure.package import Package

POINTERS = 20
"""The most pointers that a result carries as evidence."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

LONG = Context(prec=50, rounding=ROUND_HALF_EVEN)
"""The arithmetic of derived values: 50 digits, half-even."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One integer over all records of a table: an aggregate expression of the portable subset."""

    sql: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The few rows of a query of the portable subset, which names the table's relation itself."""

    sql: str


Ask = Aggregate | Rows
Row = tuple[int | str | None, ...]


class Answers:
    """What the engine found for each thing that was asked."""

    def __init__(self, found: dict[Ask, int | list[Row] | None]) -> None:
        self._found = found

    def integer(self, ask: Aggregate) -> int:
        """The integer of an aggregate; 0 where it has none (the sum of no rows)."""
        value = self._found[ask]
        assert not isinstance(value, list)
        return value or 0

    def integer_or_none(self, ask: Aggregate) -> int | None:
        """The integer of an aggregate, None where it has none (the least of no rows)."""
        value = self._found[ask]
        assert not isinstance(value, list)
        return value

    def count(self, ask: Rows) -> int:
        """The integer of a query that gives one."""
        return self.integers(ask)[0][0]

    def integers(self, ask: Rows) -> list[list[int]]:
        """The rows of a query of integers; 0 where there is none (the sum of no rows)."""
        return [[int(value or 0) for value in row] for row in self.rows(ask)]

    def rows(self, ask: Rows) -> list[Row]:
        """The rows of a query."""
        value = self._found[ask]
        assert isinstance(value, list)
        return value


_NO_COLUMN = "there is no column "
_MOST_ABSENT = 5
_MOST_COMPARED = 1000
_LONGEST_NAME = 100

Plan = Generator[Sequence[Ask], Answers, MeasureResult]


@dataclass(frozen=True)
class Subject:
    """One table under measure: its canonical form, what is declared about it, and the tables beside it.

    `as_of` is the day that stands for today, if one is declared; `sourced` are the files whose provenance a descriptor
    declares.
    """

    table: Table
    declared: TableDeclaration
    closed: bool = False
    beside: tuple[Table, ...] = ()
    any_reference: bool = False
    as_of: str | None = None
    sourced: frozenset[str] = frozenset()

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.table.columns}

    def column(self, name: str) -> Column | None:
        """The column of that name if the data has it."""
        column = self._by_name.get(name)
        return column if column is not None and column.present else None

    def columns(self, names: Iterable[str]) -> list[Column] | None:
        """The columns of those names, or None if the data lacks one."""
        found = [self.column(name) for name in names]
        return [column for column in found if column is not None] if None not in found else None

    @cached_property
    def present(self) -> list[Column]:
        """The columns that the data has."""
        return [column for column in self.table.columns if column.present]

    @cached_property
    def required(self) -> list[tuple[str, Column | None]]:
        """The required columns by name, None for one that is not there; undeclared, all columns are required."""
        names = self.declared.required or tuple(column.name for column in self.table.columns)
        return [(name, self.column(name)) for name in names]

    def absence(self, names: Iterable[str]) -> str | None:
        """Which of these columns the data lacks, each with the nearest that it has; None when all are there."""
        if self.table.missing or not self.table.parsed:
            return None  # what is wrong there is not the names
        absent = [name for name in dict.fromkeys(names) if self.column(name) is None]
        if not absent:
            return None
        if len(absent) == 1:
            near = self._nearest(absent[0])
            return f"{_NO_COLUMN}{_code(absent[0])}" + (f"; did you mean {_code(near)}?" if near is not None else "")
        told = []
        for name in absent[:_MOST_ABSENT]:
            near = self._nearest(name)
            told.append(_code(name) + (f" (did you mean {_code(near)}?)" if near is not None else ""))
        more = len(absent) - len(told)
        return _NO_COLUMN + ", nor ".join(told) + (f", nor {more} more" if more else "")

    def _nearest(self, name: str) -> str | None:
        if name not in self._nearest_known:
            near = difflib.get_close_matches(name[:_LONGEST_NAME].casefold(), self._alike, n=1)
            self._nearest_known[name] = self._alike[near[0]] if near else None
        return self._nearest_known[name]

    @cached_property
    def _nearest_known(self) -> dict[str, str | None]:
        return {}

    @cached_property
    def _alike(self) -> dict[str, str]:
        names = [*(column.name for column in self.present), *self.table.beyond]
        return {name.casefold(): name for name in reversed(names[:_MOST_COMPARED]) if len(name) <= _LONGEST_NAME}

    def target(self, to: str) -> Table | None:
        """The table that a reference means: of that name, else with a file of that name, stem or folder."""
        named = Declaration(tables={to: TableDeclaration()})
        for table in self.beside:
            if table.name == to:
                return table
        for table in self.beside:
            if any(named.table_of(path) == to for path in (table.name, *table.files)):
                return table
        return None

    @staticmethod
    def homes(table: Table, names: Iterable[str]) -> list[str | None]:
        """For each file of a table, which of these files, tables or folders it belongs to, the nearest of several."""
        named = Declaration(tables={name: TableDeclaration() for name in names})
        return [named.table_of(path) for path in table.files]

    def pointer(self, file: int, row: int, column: str | None = None, note: str | None = None) -> Evidence:
        """Evidence at an attempted record of one of the table's files."""
        return Evidence(self.table.files[file], row, column, note)


@dataclass(frozen=True)
class Measure:
    """A measure's definition.

    `plan` measures a table; `unmet` answers first, from the declaration and the columns alone: None to go on, or the
    status it ends with; `concerns` says whether a challenge's demand makes the measure applicable to a table that came
    without a record; `advice` says what to do about a result that is not full, with its numbers; `declares` is the key
    of the declaration that the measure waits for, if it can be not declared, or `asks` what to do where it is no key (a
    clause); `columns` are the columns it is about by name, so that those which are not there are told; `facts` is what
    it needs to be kept beside the cells; `of_files` measures a dataset without tables, to which it does not apply
    otherwise. A `derived` measure has a value but no ratio. A dataset pools the ratios of its tables, but takes the
    worst table of a derived measure and of one that is `worst`.
    """

    id: str
    title: str
    plan: Callable[[Subject], Plan]
    advice: Callable[[MeasureResult], str]
    unmet: Callable[[Subject], Status | None] = field(default=lambda subject: None)
    concerns: Callable[[Subject], bool] = field(default=lambda subject: True)
    declares: str | None = None
    asks: str | None = None
    columns: Callable[[Subject], Iterable[str]] = field(default=lambda subject: ())
    facts: frozenset[Fact] = frozenset()
    of_files: Callable[[Package, Declaration], MeasureResult] | None = None
    version: int = 1
    derived: bool = False
    worst: bool = False

    @property
    def wanted(self) -> str | None:
        """What to do so that it is declared, without a full stop; None for a measure that waits for nothing."""
        return self.asks or (f"Declare `{self.declares}`" if self.declares else None)

    @property
    def doc(self) -> str:
        """The description: formula, and what moves it."""
        return (self.plan.__doc__ or "").strip()

    def measure(self, subject: Subject) -> Plan:
        """The whole plan over a table, with the statuses that come before measuring."""
        status = self.unmet(subject)
        empty = subject.table.records == 0
        if empty and status in (None, Status.FAILED):
            # Without a record nothing applies but FMT-1, which counts rejected records too; in a challenge, what the
            # demand makes applicable has failed.
            rejects_only = self.id == "FMT-1" and subject.table.attempted > 0
            unread = self.id == "FMT-1" and bool(subject.table.failures)  # it says itself which file, and why
            if subject.closed and self.concerns(subject) and not rejects_only and not unread:
                status = Status.FAILED
            elif self.id != "FMT-1":
                nothing = None if self.derived else 0
                return self.result(subject, Status.NOT_APPLICABLE, num=nothing, den=nothing)
        if status is not None:
            absence = subject.absence(self.columns(subject)) if status is Status.FAILED else None
            return self.result(subject, status, note=absence)
        result = yield from self.plan(subject)
        absence = subject.absence(self.columns(subject))
        return replace(result, note="; ".join(filter(None, (absence, result.note)))) if absence else result

    def without_tables(self, package: Package, declaration: Declaration) -> MeasureResult:
        """The result of a dataset of images or other files that are no table."""
        if self.of_files is not None:
            return self.of_files(package, declaration)
        return MeasureResult(self.id, self.version, Status.NOT_APPLICABLE)

    def advise(self, result: MeasureResult) -> str:
        """What to do about a result that is not full; columns that are not there are named first."""
        sentence = self.advice(result)
        if result.note is None or not result.note.startswith(_NO_COLUMN):
            return sentence
        stop = "" if result.note.endswith("?") else "."
        return f"{result.note[0].upper()}{result.note[1:]}{stop} {sentence}"

    def result(
        self,
        subject: Subject,
        status: Status,
        *,
        num: int | None = None,
        den: int | None = None,
        note: str | None = None,
    ) -> MeasureResult:
        """A result without a value."""
        return MeasureResult(self.id, self.version, status, num, den, table=subject.table.name, note=note)


def _code(name: str) -> str:
    return f"`{name[:_LONGEST_NAME]}`"


def ratio_value(num: int, den: int) -> str:
    """num/den as a decimal string of six places, half-even."""
    scaled, rest = divmod(abs(num) * 10**6, den)
    if 2 * rest > den or (2 * rest == den and scaled % 2):
        scaled += 1
    return f"{'-' if num < 0 and scaled else ''}{scaled // 10**6}.{scaled % 10**6:06d}"


def ratio(
    measure: str,
    subject: Subject,
    num: int,
    den: int,
    *,
    evidence: Iterable[Evidence] = (),
    note: str | None = None,
    version: int = 1,
) -> MeasureResult:
    """The result of a ratio; 0/0 is not applicable."""
    return MeasureResult(
        measure,
        version,
        Status.MEASURED if den else Status.NOT_APPLICABLE,
        num,
        den,
        ratio_value(num, den) if den else None,
        subject.table.name,
        evidence=tuple(evidence)[:POINTERS],
        note=note,
    )


def six_places(value: Decimal) -> str:
    """A derived value as a decimal string of six places, half-even."""
    return str(value.quantize(Decimal("0.000001"), context=LONG))


def literal(value: int | str) -> str:
    """A value as SQL that every engine reads as the same int64 or text."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if value == INT64_MIN:
        return f"({value + 1} - 1)"  # its digits alone are beyond int64 until the sign is applied
    return f"({value})" if value < 0 else str(value)


def pointer_query(relation: str, condition: str, tag: int, limit: int) -> str:
    """The first records of a table that meet a condition, as rows (tag, f, r)."""
    return f"(SELECT {tag} AS tag, f, r FROM {relation} WHERE {condition} ORDER BY f, r LIMIT {limit})"
