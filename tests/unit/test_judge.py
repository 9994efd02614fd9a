"""The report and the library's front: what a person holds in hands after `jiebang.score`."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rfc8785

import jiebang
from jiebang.dataset.opening import DataFile, FileKind
from jiebang.errors import DatasetRefused, DeclarationError
from jiebang.judge import MOST_WARNINGS, Report, ScanResult
from jiebang.result import Status
from tests.cases import load_case


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = load_case("penguins").write(tmp_path_factory.mktemp("penguins"))
    return jiebang.score(folder / "penguins.csv", label="species")


def test_measures_are_found_by_name(report: Report) -> None:
    assert report["COM-1"].num == 2733
    assert (report.total, report.grade, report.provisional) == ("98.118792", "A", True)
    assert repr(report) == "<Report 98.118792 A provisional>"


def test_a_name_that_is_no_column_shows_in_a_notebook_at_once(tmp_path: Path) -> None:
    path = load_case("penguins").write(tmp_path) / "penguins.csv"
    assert repr(jiebang.score(path, label="speices")).endswith(", 1 in .warnings>")


def test_a_data_frame_is_refused_with_what_to_do() -> None:
    with pytest.raises(TypeError, match="not a Table; what is in memory is saved first"):
        jiebang.score(pa.table({"a": [1]}))  # type: ignore[arg-type]


def test_the_json_has_what_the_command_promises(report: Report) -> None:
    data = report.as_dict()
    promised = {
        "dataset",
        "gates",
        "measures",
        "dimensions",
        "total",
        "grade",
        "provisional",
        "coverage",
        "fixes",
        "engine",
    }
    assert promised <= set(data)
    assert data["dataset"]["records"] == 344
    assert data["engine"] == {"version": jiebang.__version__, "rubric": "core-0"}
    contract = {"id", "version", "status", "num", "den", "value", "ci95", "sample", "evidence", "cost_ms", "table"}
    assert all(contract <= set(measure) for measure in data["measures"])
    assert {measure["table"] for measure in data["measures"]} == {"penguins.csv"}
    assert all(set(fix) == {"measure", "gain", "what"} for fix in data["fixes"])
    assert [measure["score"] for measure in data["combined"] if measure["id"] == "DUP-1"] == ["100.000000"]


def test_the_digest_is_that_of_the_files(report: Report) -> None:
    raw = load_case("penguins").files["penguins.csv"]
    listed = [{"path": "penguins.csv", "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}]
    assert report.digest == hashlib.sha256(rfc8785.dumps(listed)).hexdigest()  # type: ignore[arg-type]


def test_canonical_json_is_sorted_and_without_the_cost_of_a_run(report: Report) -> None:
    text = report.to_json()
    data = json.loads(text)
    assert text == json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert all(measure["cost_ms"] is None for measure in (*data["measures"], *data["combined"]))
    assert all(measure.cost_ms is not None for measure in report.measures)


def test_the_profile_shows_what_was_read(report: Report) -> None:
    (table,) = report.as_dict()["profile"]["tables"]
    sex = next(column for column in table["columns"] if column["name"] == "sex")
    assert sex == {"name": "sex", "type": "text", "declared": False, "present": True, "missing": 11}
    assert (table["name"], table["records"], table["attempted"]) == ("penguins.csv", 344, 344)


def test_a_provisional_grade_says_what_to_declare(report: Report) -> None:
    assert report.declare == (
        "Declare `records`, so that SCL-1 (scale) is measured.",
        "Declare `key`, so that KEY-1 (key uniqueness) is measured.",
    )


def test_evidence_points_at_records(report: Report) -> None:
    incomplete = report["COM-3"]
    assert len(incomplete.evidence) == (incomplete.den or 0) - (incomplete.num or 0) == 11
    first, second, *_ = incomplete.evidence
    assert (first.file, first.row, first.column) == ("penguins.csv", 4, "bill_length_mm")
    assert first.note == "5 missing: bill_length_mm, bill_depth_mm, flipper_length_mm, body_mass_g, sex"
    assert (second.row, second.column, second.note) == (9, "sex", "missing")


def test_a_report_is_saved_as_page_or_json(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path / "report.html")
    assert "98.118792" in (tmp_path / "report.html").read_text(encoding="utf-8")
    report.save(tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == report.to_json()
    with pytest.raises(ValueError, match=r"\.html or \.json"):
        report.save(tmp_path / "report.pdf")


def test_a_notebook_shows_the_report(report: Report) -> None:
    assert "98" in report._repr_html_()


def test_names_add_to_a_declaration(tmp_path: Path) -> None:
    folder = load_case("key").write(tmp_path)
    assert jiebang.score(folder, declare={"label": "l"}, key="k")["KEY-1"].num == 2
    with pytest.raises(DeclarationError, match="`kye`"):
        jiebang.score(folder, kye=["k"])


def test_a_refused_dataset_is_not_measured(tmp_path: Path) -> None:
    (tmp_path / "model.csv").write_bytes(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05hello\x94.")
    report = jiebang.score(tmp_path)
    assert not report.passed
    assert (report.total, report.grade, report.measures, report.combined) == (None, None, (), {})
    assert repr(report).startswith("<Report rejected by G")
    assert report.as_dict()["dataset"]["records"] is None
    assert jiebang.scan(tmp_path).as_dict()["passed"] is False


def test_in_a_challenge_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [b"x"]}), tmp_path / "a.parquet")
    report = jiebang.score(tmp_path, demand={"types": {"a": "text"}})
    result = report["FMT-1"]
    assert result.status is Status.FAILED
    assert [(pointer.file, pointer.note) for pointer in result.evidence] == [("a.parquet", "column 'a' is binary")]
    assert "Hand in `a.parquet` anew: it cannot be read." in [fix.what for fix in report.fixes]


def test_a_scan_runs_the_gates_alone(tmp_path: Path) -> None:
    scan = jiebang.scan(load_case("penguins").write(tmp_path))
    assert scan.passed
    told = json.loads(scan.to_json())["dataset"]
    assert told["files"][0]["path"] == "penguins.csv"
    assert told["kinds"] == {"csv": 1}


def test_a_report_stays_small_however_many_files_and_warnings_there_are(tmp_path: Path) -> None:
    named = [f"{number:05}{'n' * 900}.csv" for number in range(20_000)]
    files = tuple(DataFile(name, 4, "0" * 64, tmp_path, FileKind.CSV) for name in named)
    scan = ScanResult("0" * 64, files, ())
    assert 1_500 < len(scan.as_dict()["dataset"]["files"]) < 2_500
    assert len(scan.to_json()) < 3_000_000

    for number in range(130):
        (tmp_path / f"{number:03}.csv").write_bytes(b"a\n1\n")
    report = jiebang.score(tmp_path, demand={"tables": {"000.csv": {"types": {"a": "integer"}}}})
    assert len(report.warnings) == MOST_WARNINGS + 1
    assert report.warnings[-1] == "29 more warnings are not written out."


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetRefused):
        jiebang.score(tmp_path / "nothing.csv")


def test_nothing_is_left_in_the_scratch_folder(tmp_path: Path) -> None:
    from jiebang import judge

    folder = load_case("fk").write(tmp_path)
    scratch = tmp_path.parent / f"{tmp_path.name}-scratch"
    scratch.mkdir()
    judge.score(folder, scratch=scratch)
    assert list(scratch.iterdir()) == []


def test_progress_is_told(tmp_path: Path) -> None:
    from jiebang import judge

    told: list[tuple[str, float]] = []
    judge.score(load_case("fk").write(tmp_path), progress=lambda stage, share: told.append((stage, share)))
    assert ("measure", 1.0) in told
    assert all(0 <= share <= 1 for _, share in told)


def test_importing_the_library_loads_none_of_its_engine() -> None:
    heavy = "{'duckdb', 'pyarrow', 'numpy', 'yaml', 'jinja2', 'httpx', 'typer'}"
    code = f"import sys, jiebang; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_declared_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,condition\n1,good\n2,bad\n")
    report = jiebang.score(tmp_path, label="Condition", declare={"time": "nope"})
    absence = "there is no column `Condition`; did you mean `condition`?"
    assert report["BAL-1"].note == absence
    assert "There is no column `Condition`; did you mean `condition`?" in report.fixes[0].what
    assert list(report.warnings) == ["a.csv: there is no column `Condition` (did you mean `condition`?), nor `nope`"]
    assert jiebang.score(tmp_path, label="condition").warnings == ()
    assert jiebang.score(tmp_path)["BAL-1"].note is None


def test_in_a_challenge_too_the_nearest_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,condition\n1,good\n2,bad\n")
    report = jiebang.score(tmp_path, demand={"types": {"id": "integer", "Condition": "text"}})
    assert report["COM-1"].note == "there is no column `Condition`; did you mean `condition`?"
    assert list(report.warnings) == [f"a.csv: {report['COM-1'].note}"]


def test_a_table_that_was_not_handed_in_is_one_piece_of_advice_with_its_whole_gain(tmp_path: Path) -> None:
    demand = {
        "tables": {
            "a.csv": {
                "types": {"k": "integer", "p": "text"},
                "key": ["k"],
                "foreign_keys": [{"fields": ["p"], "to": "b.csv", "key": ["p"]}],
            },
            "b.csv": {"types": {"p": "text", "q": "integer"}, "key": ["p"], "label": "q"},
        }
    }
    (tmp_path / "a.csv").write_text("k,p\n1,x\n2,y\n2,y\n")
    without = jiebang.score(tmp_path, demand=demand)
    first, *rest = without.fixes
    assert first.measure == "all"
    assert first.what.startswith("Hand in `b.csv`: it is demanded and missing.")
    assert "b.csv: demanded and not handed in." in without.warnings
    assert {fix.measure for fix in rest} == {"KEY-1", "DUP-1"}
    (tmp_path / "a.csv").write_text("k,p\n1,x\n2,y\n")
    (tmp_path / "b.csv").unlink(missing_ok=True)
    (only,) = jiebang.score(tmp_path, demand=demand).fixes
    before = jiebang.score(tmp_path, demand=demand).total
    (tmp_path / "b.csv").write_text("p,q\nx,1\ny,2\n")
    whole = jiebang.score(tmp_path, demand=demand)
    assert whole.fixes == ()
    assert Decimal(whole.total or 0) - Decimal(before or 0) == Decimal(only.gain)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"\x80\x81\xff,a", "Save the file anew as text in UTF-8"),
        (b"a,b\n1,2\n3\n", "its number of fields is not the header's"),
        (b"a,b\n1,2\n\xff,3\n", "it holds an undecodable byte"),
        (b"a,b\n", "at least one record below its header"),
    ],
)
def test_advice_on_what_cannot_be_read_follows_its_cause(content: bytes, advice: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert advice in jiebang.score(tmp_path).fixes[0].what
