"""What gates and measures answer: plain facts, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a measure ended. Only `measured` has a value; `failed` and `not_scanned` score 0 and show."""

    MEASURED = "measured"
    NOT_APPLICABLE = "not_applicable"
    NOT_DECLARED = "not_declared"
    NOT_SCANNED = "not_scanned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A pointer to the place a measure speaks of; `row` counts the attempted records of its file from 1."""

    file: str | None = None
    row: int | None = None
    column: str | None = None
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The pointer as JSON."""
        return {"file": self.file, "row": self.row, "column": self.column, "note": self.note}


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """One measure over one table (or the dataset, `table` None): integers, a six-place value, and evidence.

    A ratio has `num` and `den`; a derived measure has neither and carries the integers it comes from in `counts`.
    `cost_ms` is the only field that may differ between two runs over the same bytes.
    """

    id: str
    version: int
    status: Status
    num: int | None = None
    den: int | None = None
    value: str | None = None
    table: str | None = None
    counts: dict[str, int] | None = None
    ci95: tuple[str, str] | None = None
    sample: int | None = None
    evidence: tuple[Evidence, ...] = ()
    note: str | None = None
    cost_ms: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON, in the shape of the public contract of a measure."""
        return {
            "id": self.id,
            "version": self.version,
            "status": str(self.status),
            "num": self.num,
            "den": self.den,
            "value": self.value,
            "table": self.table,
            "counts": self.counts,
            "ci95": list(self.ci95) if self.ci95 else None,
            "sample": self.sample,
            "evidence": [pointer.as_dict() for pointer in self.evidence],
            "note": self.note,
            "cost_ms": self.cost_ms,
        }


class GateStatus(StrEnum):
    """A gate passes, fails, or could not look (which is not a pass)."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_SCANNED = "not_scanned"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a gate failed: a stable code, a sentence that says what to do, and where."""

    code: str
    sentence: str
    path: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The reason as JSON."""
        return {"code": self.code, "sentence": self.sentence, "path": self.path, **self.fields}


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's answer with every reason (at most 20)."""

    id: str
    status: GateStatus
    reasons: tuple[Reason, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON."""
        return {"id": self.id, "status": str(self.status), "reasons": [reason.as_dict() for reason in self.reasons]}
