"""Gates G4 and G5 look into everything that was handed in, say where, and never quote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jiebang
from jiebang import judge
from jiebang.judge import ScanResult
from jiebang.result import GateResult, GateStatus
from jiebang.sandbox import ForkServer, Job, OutcomeStatus

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
CARD = "6222021234567890128"
RUBRIC: dict[str, Any] = {
    "id": "careful",
    "gates": ["G4", "G5"],
    "dimensions": {"completeness": {"weight": 1, "measures": {"COM-1": {"floor": 0, "target": 1}}}},
}


def scanned(folder: Path, files: dict[str, str | bytes], **options: Any) -> ScanResult:
    for name, data in files.items():
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    found = judge.scan(folder, **options)
    assert TOKEN not in found.to_json()
    assert CARD not in found.to_json()
    return found


def gate(found: ScanResult, name: str) -> GateResult:
    return next(one for one in found.gates if one.id == name)


def places(result: GateResult) -> list[tuple[Any, ...]]:
    return [
        (reason.path, reason.fields["class"], reason.fields.get("record"), reason.fields.get("line"))
        for reason in result.reasons
    ]


def test_a_clean_dataset_passes(tmp_path: Path) -> None:
    found = scanned(tmp_path, {"a.csv": "x,y\n1,今天\n", "README.md": "# 说明\n联系 a@b.cn\n"})
    assert found.passed
    assert [one.id for one in found.gates] == ["G1", "G3", "G4", "G5"]


def test_a_secret_in_a_cell_is_told_by_record_and_column(tmp_path: Path) -> None:
    found = scanned(tmp_path, {"a.csv": f"x,note\n1,ok\n2,use {TOKEN}\n3,use {TOKEN}\n"})
    (reason,) = gate(found, "G4").reasons
    assert (reason.code, reason.path) == ("secret_found", "a.csv")
    assert reason.fields == {"class": "github_token", "count": 2, "record": 2, "column": "note"}
    assert "`note`, record 2 and 1 more record: GitHub token. Revoke it" in reason.sentence
    assert gate(found, "G5").status is GateStatus.PASSED


def test_sensitive_data_fail_another_gate(tmp_path: Path) -> None:
    found = scanned(tmp_path, {"a.csv": f"x,note\n1,卡号{CARD}\n"})
    assert gate(found, "G4").status is GateStatus.PASSED
    assert places(gate(found, "G5")) == [("a.csv", "bank_card", 1, None)]


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "notes.yaml", "croissant.json", "train.py"])
def test_documents_and_code_are_looked_through(tmp_path: Path, name: str) -> None:
    found = scanned(tmp_path, {"a.csv": "x\n1\n", name: f"\n\nkey {TOKEN}\n卡 {CARD}\n"})
    assert places(gate(found, "G4")) == [(name, "github_token", None, 3)]
    assert places(gate(found, "G5")) == [(name, "bank_card", None, 4)]


def test_a_nul_hides_nothing_in_text_and_no_secret_in_a_binary_file(tmp_path: Path) -> None:
    text = f"\0\nkey {TOKEN}\n卡 {CARD}\n".encode()
    found = scanned(tmp_path, {"a.csv": "x\n1\n", "notes": text, "page.bin": b"\xff\xff\n" + text})
    assert places(gate(found, "G4")) == [("notes", "github_token", None, 2), ("page.bin", "github_token", None, 3)]
    assert places(gate(found, "G5")) == [("notes", "bank_card", None, 3)]


def test_names_of_columns_are_looked_through(tmp_path: Path) -> None:
    found = scanned(tmp_path, {"a.csv": f"x,{TOKEN}\n1,2\n"})
    (reason,) = gate(found, "G4").reasons
    assert reason.fields == {"class": "github_token", "count": 1, "column": "column 2"}


def test_records_that_failed_are_looked_through(tmp_path: Path) -> None:
    found = scanned(tmp_path, {"a.csv": f"x,y\n1,2\n1,2,{TOKEN}\n"})
    assert places(gate(found, "G4")) == [("a.csv", "github_token", None, 3)]
    broken = scanned(tmp_path, {"a.csv": "x\n1\n", "b.jsonl": f'{{"k": 1}}\n{{"k": "{TOKEN}"\n'})
    assert places(gate(broken, "G4")) == [("b.jsonl", "github_token", None, 2)]


def test_what_a_demand_does_not_ask_for_is_looked_through(tmp_path: Path) -> None:
    demand = {"tables": {"a.csv": {"types": {"x": "integer"}}}}
    files: dict[str, str | bytes] = {"a.csv": f"x,more\n1,{TOKEN}\n", "other.csv": f"q\n{TOKEN}\n"}
    found = scanned(tmp_path, files, demand=demand, rubric=RUBRIC)
    assert places(gate(found, "G4")) == [("a.csv", "github_token", None, 2), ("other.csv", "github_token", None, 2)]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1, 2], "more": ["-", TOKEN]}), buffer)
    (tmp_path / "a.csv").unlink()
    (tmp_path / "other.csv").unlink()
    parquet = scanned(tmp_path, {"a.parquet": buffer.getvalue().to_pybytes()}, demand=demand, rubric=RUBRIC)
    assert places(gate(parquet, "G4")) == [("a.parquet", "github_token", 2, None)]


def test_a_rubric_says_which_gates_there_are(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"a.csv": f"x,note\n1,use {TOKEN} {CARD}\n"}
    assert [one.id for one in scanned(tmp_path, files, rubric="core-0").gates] == ["G1", "G3"]
    assert scanned(tmp_path, files, rubric="core-0").passed
    only = scanned(tmp_path, files, rubric={**RUBRIC, "gates": ["G5"]})
    assert [one.id for one in only.gates] == ["G1", "G3", "G5"]


def test_a_score_is_refused_by_the_same_gates_and_measures_nothing(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"a.csv": f"x,note\n1,use {TOKEN} {CARD}\n"}
    found = scanned(tmp_path, files, rubric=RUBRIC)
    report = jiebang.score(tmp_path, rubric=RUBRIC)
    assert report.gates == found.gates
    assert (report.total, report.measures) == (None, ())
    assert TOKEN not in report.to_json()
    assert "GitHub token" in report._html
    assert "密钥" in report._html


def test_the_gates_say_the_same_in_a_confined_child(tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "output"
    data.mkdir()
    output.mkdir()
    found = scanned(data, {"a.csv": f"x,note\n1,use {TOKEN} {CARD}\n２,１３８１２３４５６７８\n"}, rubric=RUBRIC)
    with ForkServer() as server:
        outcome = server.run(Job("scan", data, output, {"rubric": RUBRIC}), wall_seconds=60, memory_bytes=2_000_000_000)
    assert outcome.status is OutcomeStatus.DONE, outcome.detail
    assert outcome.result == found.as_dict()


def test_no_more_than_twenty_reasons_are_told(tmp_path: Path) -> None:
    header = ",".join(f"c{column}" for column in range(30))
    found = scanned(tmp_path, {"a.csv": f"{header}\n{','.join([TOKEN] * 30)}\n"})
    assert len(gate(found, "G4").reasons) == 20


def test_masked_and_made_up_values_pass(tmp_path: Path) -> None:
    text = "note\n6222************0128\npassword=<your password>\nAKIAIOSFODNN7EXAMPLE\nmysql://root:${PASS}@db/x\n"
    assert scanned(tmp_path, {"a.csv": text}).passed
