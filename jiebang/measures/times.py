"""The order of the times of a table, in series: what several measures ask about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jiebang.measures.definition import Aggregate, Subject
from jiebang.result import Status

if TYPE_CHECKING:
    from jiebang.dataset.tables import Column


def without_time(subject: Subject) -> Status | None:
    """Not applicable without a time; failed when its column or one that names the series is not there."""
    if subject.declared.time is None:
        return Status.NOT_APPLICABLE
    return None if subject.columns(time_columns(subject)) is not None else Status.FAILED


def time_columns(subject: Subject) -> list[str]:
    """The columns by name that times and their series are in."""
    time = [] if subject.declared.time is None else [subject.declared.time]
    return [*time, *subject.declared.series]


@dataclass(frozen=True)
class SeriesOfTimes:
    """The readable times of a table whose time and series columns are there; a missing cell also names a series."""

    subject: Subject

    @property
    def column(self) -> Column:
        """The column of the times."""
        column = self.subject.column(self.subject.declared.time or "")
        assert column is not None
        return column

    @property
    def t(self) -> str:
        """SQL for the instant of a record, NULL where it has none."""
        return f"t{self.column.index}"

    @property
    def readable(self) -> Aggregate:
        """How many records have an instant."""
        return Aggregate(f"count({self.t})")

    @property
    def series(self) -> list[str]:
        """SQL for the cells that name the series of a record; none where all records are one series."""
        return [f"s{column.index}" for column in self.subject.columns(self.subject.declared.series) or []]

    @property
    def partition(self) -> str:
        """The clause that keeps series apart in a window."""
        return f"PARTITION BY {', '.join(self.series)} " if self.series else ""
