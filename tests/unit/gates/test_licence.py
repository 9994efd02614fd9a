"""Gate G6: the data may be used for what they are wanted for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jiebang.errors import DeclarationError
from jiebang.judge import Report
from jiebang.result import GateResult, GateStatus
from tests.unit.structure.packages import TABLE, Files
from tests.unit.structure.packages import judged as judged_by

DEMAND: dict[str, Any] = {"types": {"a": "integer", "b": "integer"}, "use": ["commercial", "modify"]}
GRANT = "Grantor: Example Grid Ltd.\nUses: commercial use, derivative works; no redistribution\nSigned: 2026-02-01\n"


def judged(files: Files, demand: dict[str, Any] = DEMAND) -> Report:
    return judged_by({"t.csv": TABLE, **files}, "COM-1", demand=demand)


def g6(report: Report) -> GateResult:
    return next(gate for gate in report.gates if gate.id == "G6")


@pytest.mark.parametrize(
    "files",
    [
        {"LICENSE": "CC-BY-4.0"},
        {"LICENSE": "CC-BY-NC-4.0 OR MIT"},
        {"GRANT.md": GRANT},
        {"LICENSE": "CC-BY-NC-4.0", "GRANT.md": GRANT},
        {"LICENSE": "CC-BY-NC-4.0", "授权书.txt": "授权方：某公司\n授权范围：商用，修改\n签署日期：2026-02-01\n"},
    ],
)
def test_a_licence_or_a_grant_that_permits_the_use_passes(files: Files) -> None:
    report = judged(files)
    assert g6(report).status is GateStatus.PASSED
    assert report.total is not None


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({}, "no_licence"),
        ({"LICENSE": "You may read it.\nAsk us.\n"}, "licence_unclear"),
        ({"LICENSE": "CC-BY-NC-4.0"}, "licence_incompatible"),
        ({"LICENSE": "CC-BY-ND-4.0"}, "licence_incompatible"),
        ({"LICENSE": "CC-BY-NC-4.0 AND MIT"}, "licence_incompatible"),
        ({"GRANT.md": GRANT.replace("commercial use, ", "")}, "licence_incompatible"),
        ({"GRANT.md": GRANT.replace("commercial use", "non-commercial use")}, "licence_incompatible"),
        ({"LICENSE": "CC-BY-NC-4.0", "GRANT.md": GRANT.replace("Signed: 2026-02-01", "")}, "licence_incompatible"),
        ({"GRANT.md": GRANT.replace("2026-02-01", "2026-02-31")}, "licence_unclear"),
    ],
)
def test_otherwise_the_dataset_is_not_judged_and_told_why(files: Files, code: str) -> None:
    report = judged(files)
    assert [reason.code for reason in g6(report).reasons] == [code]
    assert (report.total, report.passed) == (None, False)


def test_one_file_that_may_not_be_used_is_enough() -> None:
    package = {
        "licenses": [{"name": "MIT"}],
        "resources": [{"path": "u.csv", "licenses": [{"name": "CC-BY-NC-4.0"}]}],
    }
    report = judged({"u.csv": TABLE, "datapackage.json": json.dumps(package)})
    (reason,) = g6(report).reasons
    assert (reason.path, reason.fields["withheld"]) == ("u.csv", ["commercial"])


def test_without_a_use_there_is_no_such_gate() -> None:
    report = judged({}, {"types": {"a": "integer"}})
    assert [gate.id for gate in report.gates if gate.id == "G6"] == []


def test_a_use_that_nobody_knows_is_refused() -> None:
    with pytest.raises(DeclarationError, match="`sell` is not a use"):
        judged({}, {**DEMAND, "use": ["sell"]})
