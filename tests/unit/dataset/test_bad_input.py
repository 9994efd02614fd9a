"""What `docs/bad-input.md` says of datasets that can be opened; gates and readers have tests of their own."""

from __future__ import annotations

import io
import re
import resource
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jiebang
from jiebang.errors import DatasetRefused
from jiebang.judge import Report
from jiebang.result import GateStatus, Status

ROOT = Path(__file__).resolve().parents[3]


def judged(tmp_path: Path, name: str, content: bytes) -> Report:
    path = tmp_path / name
    path.write_bytes(content)
    return jiebang.score(path)


def parquet(**columns: pa.Array) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target, row_group_size=2, use_dictionary=False, compression="none")
    return target.getvalue()


def fmt_1(report: Report) -> tuple[Status, int | None, int | None]:
    result = report["FMT-1"]
    return result.status, result.num, result.den


@pytest.mark.parametrize(
    ("name", "content", "num", "den"),
    [
        ("ragged.csv", b"a,b\n1,2\n3\n4,5,\n6,7\n", 2, 4),
        ("open.csv", b'a,b\n1,2\n"3,4\n5,6\n', 1, 2),
        ("after.csv", b'a,b\n1,2\n"3"x,4\n', 1, 2),
        ("bytes.csv", b"a,b\n1,\xff\xff\n2,\xe6\x95\xb0\n", 1, 2),
        ("rejects.csv", b"a,b\n1\n2\n", 0, 2),
        ("twice.csv", b"a,a\n1,2\n", 1, 1),
        ("nul.csv", b"a,b\n1,\0\n", 1, 1),
        ("dates.csv", b"d\n2024-02-30\n2024-13-01\n", 2, 2),
        ("numbers.jsonl", b'{"a":1e999999999}\n{"a":NaN}\n{"a":Infinity}\n{"a":1}\n', 2, 4),
        ("twice.jsonl", b'{"a":1,"a":2}\n{"a":{"b":1,"b":2}}\n{"a":1}\n', 1, 3),
        ("surrogate.jsonl", b'{"a":"\\ud800"}\n{"a":"\\ud83d\\ude00"}\n', 1, 2),
        ("deep.jsonl", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b'}\n{"a":1}\n', 1, 2),
        ("broken.json", b'[{"a":1},{"a":2},{"a"', 2, 3),
        ("cut.json", b'[{"a":1},{"a":2}]\xe6', 2, 3),
        ("emoji \U0001f600.csv", b"a,b\n1,2\n", 1, 1),
    ],
)
def test_what_is_wrong_with_records_counts_in_fmt_1(
    name: str, content: bytes, num: int, den: int, tmp_path: Path
) -> None:
    report = judged(tmp_path, name, content)
    assert fmt_1(report) == (Status.MEASURED, num, den)
    assert len(report["FMT-1"].evidence) == den - num


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""), ("blank.csv", b"\n \n"), ("none.parquet", parquet(a=pa.array([], pa.int64()))),
        ("empty.jsonl", b""), ("empty.json", b"[]"), ("header.csv", b"a,b\n"),
        ("wide.csv", b"," * 2_000 + b"\n" + b"," * 2_000), ("binary.parquet", parquet(a=pa.array([b"x"]))),
        ("wide.jsonl", b"\n".join(b'{"%d":1}' % number for number in range(2_001))),
    ],
)  # fmt: skip
def test_a_file_without_any_record_fails_fmt_1(name: str, content: bytes, tmp_path: Path) -> None:
    report = judged(tmp_path, name, content)
    assert fmt_1(report) == (Status.FAILED, 0, 0)
    assert report["COM-1"].status is Status.NOT_APPLICABLE
    assert report.total is not None


def test_the_records_of_a_damaged_row_group_fail(tmp_path: Path) -> None:
    content = bytearray(parquet(a=pa.array([f"value {number:05}" for number in range(10)])))
    content[content.index(b"value 00004") - 30 : content.index(b"value 00004")] = b"\xff" * 30
    report = judged(tmp_path, "a.parquet", bytes(content))
    assert fmt_1(report) == (Status.MEASURED, 8, 10)
    assert report["FMT-1"].evidence[0].row == 5


def test_what_is_not_a_number_is_missing_or_text(tmp_path: Path) -> None:
    report = judged(tmp_path, "a.csv", b"x\n1\nNaN\nnan\nInfinity\n-inf\n2\n")
    assert (report["COM-1"].num, report["COM-1"].den) == (4, 6)
    assert report["OUT-1"].status is Status.NOT_APPLICABLE
    report = judged(tmp_path, "a.parquet", parquet(x=pa.array([1.5, float("nan"), None])))
    assert (report["COM-1"].num, report["COM-1"].den) == (1, 3)


def test_one_line_of_200_mb_fails_alone_in_bounded_memory(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = tmp_path / "a.csv"
    with path.open("wb") as target:
        target.write(b"a,b\n1,2\n3,")
        for _ in range(200):
            target.write(b"x" * 1_000_000)
        target.write(b"\n4,5\n")
    assert fmt_1(jiebang.score(path)) == (Status.MEASURED, 2, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB; two copies would be more


def test_the_text_of_a_failed_record_is_told_nowhere(tmp_path: Path) -> None:
    secret = "11010519491231002X"
    text = f'a,b\n1,{secret},3\n"{secret}"x,1\n2,"{secret}'
    assert secret not in judged(tmp_path, "a.csv", text.encode()).to_json()
    lines = f'{{"a":"{secret}"\n{{"{secret}":1,"{secret}":2}}\n'
    assert secret not in judged(tmp_path, "a.jsonl", lines.encode()).to_json()


def test_a_failed_gate_ends_the_judgement_with_its_reason(tmp_path: Path) -> None:
    report = judged(tmp_path, "a.csv", b"\x80\x04]\x94.")
    assert [gate.status for gate in report.gates] == [GateStatus.PASSED, GateStatus.FAILED]
    assert (report.total, report.grade) == (None, None)


def test_nothing_to_judge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetRefused) as refused:
        jiebang.score(tmp_path / "none.csv")
    assert refused.value.code == "not_a_dataset"


def test_every_code_of_a_gate_is_documented() -> None:
    sources = [*(ROOT / "jiebang/gates").glob("*.py"), ROOT / "jiebang/dataset/opening.py"]
    pattern = re.compile(r'(?:GateFails|_dangerous|DatasetRefused)\(\s*"([a-z0-9_]+)"')
    codes = {code for source in sources for code in pattern.findall(source.read_text(encoding="utf-8"))}
    assert len(codes) > 15
    documented = (ROOT / "docs/bad-input.md").read_text(encoding="utf-8")
    assert [code for code in sorted(codes) if f"`{code}`" not in documented] == []


def test_files_that_are_no_table_are_warned_of_and_alone_fail_a_gate(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# About\n")
    alone = jiebang.scan(tmp_path).as_dict()
    assert [reason["code"] for gate in alone["gates"] for reason in gate["reasons"]] == ["not_a_dataset"]
    assert alone["warnings"] == []
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    beside = jiebang.scan(tmp_path).as_dict()
    assert beside["passed"]
    assert [warning for warning in beside["warnings"] if "README.md" in warning] == beside["warnings"] != []
    assert list(jiebang.score(tmp_path).warnings) == beside["warnings"]
