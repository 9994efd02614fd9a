"""The label of a table, which several measures are about."""

from __future__ import annotations

from jiebang.measures.definition import Subject
from jiebang.result import Status


def without_label(subject: Subject) -> Status | None:
    """Not declared without a label; failed when its column is not there."""
    if subject.declared.label is None:
        return Status.NOT_DECLARED
    return None if subject.column(subject.declared.label) is not None else Status.FAILED
