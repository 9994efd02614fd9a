"""MET-2: files that are declared, there, and the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiebang.dataset.opening import open_dataset
from jiebang.measures.met_2 import MEASURE
from jiebang.result import MeasureResult, Status
from jiebang.structure.package import Package
from tests.naive.manifest import met_2
from tests.unit.structure.packages import TABLE, Files, croissant, judged, notes, sha256, share

OTHER = "x\n1\n"


def data_package(*resources: dict[str, Any]) -> str:
    return json.dumps({"resources": [{"name": "r", **resource} for resource in resources]})


def file_object(url: str, **more: Any) -> dict[str, Any]:
    return {"@type": "cr:FileObject", "@id": url, "contentUrl": url, **more}


@pytest.mark.parametrize(
    "files",
    [
        {"croissant.json": croissant()},
        {"datapackage.json": data_package({"path": "t.csv", "hash": f"sha256:{sha256(TABLE)}"})},
        {"SHA256SUMS": f"{sha256(TABLE)}  t.csv\n"},
        {"sha256sums.txt": f"{sha256(TABLE).upper()} *./t.csv\r\n"},
        {"manifest.json": json.dumps({"files": [{"path": "t.csv", "sha256": sha256(TABLE)}]})},
        {"croissant.json": croissant(), "SHA256SUMS": f"{sha256(TABLE)}  t.csv\n"},
    ],
    ids=["croissant", "data package", "sums", "sums of Windows", "manifest", "two that agree"],
)
def test_every_kind_of_list_declares_a_file(files: Files) -> None:
    with_readme = {"t.csv": TABLE, "README.md": "# t", "LICENSE": "MIT", **files}
    assert share(judged(with_readme, "MET-2"), "MET-2") == (1, 1)


@pytest.mark.parametrize(
    ("files", "counts", "fault"),
    [
        ({"SHA256SUMS": f"{sha256(OTHER)}  t.csv\n"}, (0, 1), "its SHA-256 is another"),
        ({"SHA256SUMS": f"{sha256(TABLE)}  t.csv\n", "u.csv": OTHER}, (1, 2), "there and not declared"),
        ({"SHA256SUMS": f"{sha256(TABLE)}  t.csv\n{sha256(TABLE)}  u.csv\n"}, (1, 2), "declared and not there"),
        ({"SHA256SUMS": f"{sha256(TABLE)}  t.csv\n{sha256(TABLE)}  ../t.csv\n"}, (1, 2), "leads out of the dataset"),
        ({"SHA256SUMS": f"{sha256(TABLE)}  t.csv\n{sha256(TABLE)}  /etc/passwd\n"}, (1, 2), "leads out"),
        ({"datapackage.json": data_package({"path": "t.csv"})}, (0, 1), "without its SHA-256"),
        ({"datapackage.json": data_package({"path": "t.csv", "hash": "d41d8cd98f00b204e9800998ecf8427e"})}, (0, 1), ""),
        ({"croissant.json": croissant(), "SHA256SUMS": f"{sha256(OTHER)}  t.csv\n"}, (0, 1), "another"),
        ({"croissant.json": "{"}, (0, 1), "there and not declared"),
        ({"croissant.json": croissant(distribution=[file_object("file:///etc/passwd")])}, (0, 2), "leads out"),
    ],
)  # fmt: skip
def test_each_fault_is_counted_and_told(files: Files, counts: tuple[int, int], fault: str) -> None:
    report = judged({"t.csv": TABLE, **files}, "MET-2")
    assert share(report, "MET-2") == counts
    assert any(fault in (note or "") for note in notes(report, "MET-2").values())


def test_what_lies_elsewhere_on_the_web_counts_nowhere_unless_it_was_handed_in() -> None:
    remote = [
        file_object("https://example.org/data/t.csv", sha256=sha256(TABLE)),
        file_object("https://example.org/other.csv"),
    ]
    assert share(judged({"t.csv": TABLE, "croissant.json": croissant(distribution=remote)}, "MET-2"), "MET-2") == (1, 1)


def test_a_file_within_an_archive_is_found_where_the_archive_was_opened() -> None:
    distribution = [
        file_object("data", sha256=sha256("the archive itself")),
        file_object("t.csv", containedIn={"@id": "data"}, sha256=sha256(TABLE)),
    ]
    files: Files = {"data/t.csv": TABLE, "croissant.json": croissant(distribution=distribution)}
    assert share(judged(files, "MET-2"), "MET-2") == (1, 1)


def test_paths_are_those_of_the_folder_of_the_list() -> None:
    files = {"a/t.csv": TABLE, "a/SHA256SUMS": f"{sha256(TABLE)}  t.csv\n", "t.csv": TABLE}
    report = judged(files, "MET-2")
    assert share(report, "MET-2") == (1, 2)
    assert notes(report, "MET-2") == {"t.csv": "there and not declared"}


def test_a_list_of_digests_is_no_table() -> None:
    report = judged({"t.csv": TABLE, "SHA256SUMS": f"{sha256(TABLE)}  t.csv\n"}, "MET-2")
    assert [table["name"] for table in report.tables] == ["t.csv"]


def test_without_a_list_it_is_not_declared() -> None:
    assert judged({"t.csv": TABLE, "README.md": "# t"}, "MET-2")["MET-2"].status is Status.NOT_DECLARED


def test_in_a_challenge_files_beside_its_tables_dilute_nothing() -> None:
    junk = {f"junk/{number}.bin": f"{number}" for number in range(50)}
    sums = "".join(f"{sha256(content)}  {name}\n" for name, content in junk.items())
    files: Files = {"t.csv": TABLE, "u.csv": OTHER, "README.md": "# t", **junk}
    demand = {"tables": {"t.csv": {"types": {"a": "integer"}}, "u.csv": {"types": {"x": "integer"}}}}
    listed = f"{sha256(TABLE)}  t.csv\n{sha256('# t')}  README.md\n"
    report = judged({**files, "SHA256SUMS": listed + sums}, "MET-2", "LIC-1", demand=demand)
    assert share(report, "MET-2") == (1, 2)
    assert share(judged({**files, "SHA256SUMS": listed + sums}, "MET-2"), "MET-2") == (52, 53)


NAMES = st.sampled_from(["a.csv", "b.csv", "c/d.csv", "数据.csv"])
CONTENTS = st.sampled_from([b"x\n1\n", b"x\n2\n", b"y\n1\n"])


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(NAMES, CONTENTS, min_size=1),
    st.lists(st.tuples(NAMES, CONTENTS.map(sha256)), min_size=1, max_size=6),
)
def test_it_is_what_a_naive_count_finds(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, bytes], declared: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    sums = "".join(f"{digest}  {name}\n" for name, digest in declared)
    for name, content in {**data, "SHA256SUMS": sums.encode()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    assert counted(folder) == met_2(data, declared)


def counted(folder: Path) -> tuple[int | None, int | None]:
    opened = open_dataset([folder], scratch=folder.parent)
    result: MeasureResult = MEASURE.measure(Package(opened.files), closed=False)
    return result.num, result.den
