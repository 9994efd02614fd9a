"""Gates G4 and G5: no secrets, and no sensitive personal information, in whatever was handed in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jiebang.detectors.catalogue import CLASSES
from jiebang.detectors.definition import FindClass, Kind
from jiebang.detectors.finds import Found
from jiebang.gates.limits import MAX_REASONS
from jiebang.gates.paths import shown
from jiebang.result import GateResult, GateStatus, Reason

_REFUSED = {"G4": Kind.SECRET, "G5": Kind.SENSITIVE}
_CODES = {"G4": "secret_found", "G5": "sensitive_data_found"}
_BY_NAME = {found.name: found for found in CLASSES}


def content_gates(wanted: Iterable[str], found: Sequence[Found]) -> tuple[GateResult, ...]:
    """What the gates that are `wanted` say to what was found in a dataset; they never quote it."""
    return tuple(_gate(gate, found) for gate in _REFUSED if gate in wanted)


def _gate(gate: str, found: Sequence[Found]) -> GateResult:
    refused = [(one, _BY_NAME[one.name]) for one in found if _BY_NAME[one.name].kind is _REFUSED[gate]]
    refused.sort(key=lambda pair: (-pair[0].count, pair[0].file, pair[0].column or "", pair[0].line or 0, pair[0].name))
    reasons = tuple(_reason(_CODES[gate], one, kind) for one, kind in refused[:MAX_REASONS])
    return GateResult(gate, GateStatus.FAILED if reasons else GateStatus.PASSED, reasons)


def _reason(code: str, found: Found, kind: FindClass) -> Reason:
    fields = {
        "class": found.name,
        "count": found.count,
        "record": found.record,
        "line": found.line,
        "column": found.column,
    }
    sentence = f"{_place(found)}: {kind.en}. {kind.advice}"
    return Reason(
        code, sentence, path=found.file, fields={name: value for name, value in fields.items() if value is not None}
    )


def _place(found: Found) -> str:
    file = shown(found.file)
    if found.record is not None:
        where, one, many = f"`{found.column}`, record {found.record}", "record", "records"
    elif found.line is not None:
        where, one, many = f"line {found.line}", "line", "lines"
    else:
        return f"{file}, the name of {found.column}"
    more = f" and {found.count - 1} more {one if found.count == 2 else many}" if found.count > 1 else ""
    return f"{file}, {where}{more}"
