"""DOC-1: which aspects a document speaks of, whatever its style, and what does not count."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jiebang
from jiebang.judge import Report
from jiebang.result import Status
from jiebang.structure.aspects import ASPECTS, aspects_found, aspects_named
from jiebang.structure.documents import sections
from jiebang.structure.names import is_document
from tests.naive.documentation import doc_1

RUBRIC = {
    "id": "documentation",
    "dimensions": {"documentation": {"weight": 1, "measures": {"DOC-1": {"floor": 0, "target": 1}}}},
}
FULL = "\n".join(f"## {aspect.zh}\n这里写着关于{aspect.zh}的内容。\n" for aspect in ASPECTS)
IN_ENGLISH = "\n".join(f"## {aspect.words[0].title()}\nWhat is to be said of {aspect.en}.\n" for aspect in ASPECTS)


def found(text: str) -> set[str]:
    return aspects_found([sections(text)])


def judged(folder: Path, files: dict[str, str], **options: object) -> Report:
    for name, text in {"t.csv": "a,b\n1,2\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return jiebang.score(folder, rubric=RUBRIC, **options)  # type: ignore[arg-type]


def test_there_are_four_groups_of_five_aspects() -> None:
    assert [aspect.id for aspect in ASPECTS] == [f"010{group}-{place}" for group in "1234" for place in "12345"]


@pytest.mark.parametrize("text", [FULL, IN_ENGLISH], ids=["Chinese", "English"])
def test_a_document_with_every_aspect_has_twenty(text: str, tmp_path: Path) -> None:
    report = judged(tmp_path, {"README.md": text})
    assert (report["DOC-1"].num, report["DOC-1"].den, report["DOC-1"].table) == (20, 20, None)
    assert report.total == "100.000000"
    assert report.warnings == ()


def test_without_a_document_it_is_not_declared_and_lowers_the_coverage_alone(tmp_path: Path) -> None:
    report = judged(tmp_path, {})
    assert report["DOC-1"].status is Status.NOT_DECLARED
    assert (report.total, report.coverage) == (None, "0.000000")
    (wanted,) = report.declare
    assert "README" in wanted


def test_in_a_challenge_the_document_that_is_not_there_has_failed(tmp_path: Path) -> None:
    report = judged(tmp_path, {}, demand={"types": {"a": "integer"}})
    assert (report["DOC-1"].status, report.total) == (Status.FAILED, "0.000000")
    assert report.fixes[0].what.startswith("Add a README.md")


def test_what_is_not_said_is_pointed_at(tmp_path: Path) -> None:
    report = judged(tmp_path, {"docs/README.md": "# Sources\nThe station's own log.\n"})
    assert report["DOC-1"].num == 1
    assert len(report["DOC-1"].evidence) == 19
    assert {pointer.file for pointer in report["DOC-1"].evidence} == {"docs/README.md"}
    assert "and 14 more" in report.fixes[0].what


@pytest.mark.parametrize(
    "text",
    [
        "# Data Collection\nMeasured by hand.",
        "Data collection\n===============\n\nMeasured by hand.",
        "**Data Collection**\n\nMeasured by hand.",
        "## 2.1 数据采集\n人工测量。",
        "二、数据采集\n人工测量。",
        "【采集】\n人工测量。",
        "# DATA COLLECTION #\r\nMeasured by hand.\r\n",
        "- **Collection**: every nest was visited by two observers in each season",
        "| Collection | every nest was visited by two observers in each season |",
        "采集方式：采集：每个巢穴在每个季节由两名观察员分别进行实地测量并记录结果，随后交叉核对。",
        "---\nlicense: mit\n---\n# Collection\nMeasured by hand.",
        "# Collection\n## How we went about it\nMeasured by hand.",
    ],
)
def test_an_aspect_is_found_in_every_style(text: str) -> None:
    assert "0103-2" in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "# Collection\n",
        "# Collection\nTODO",
        "# Collection\n待补充。",
        "# Collection\n[More Information Needed]",
        "# Collection\n(FILL IN: how it was collected)",
        "Collection: by hand",
        "The collection took long.",
        "```\n# collection\nx = 1\n```",
        "# Collection, sources, cleaning, annotation, quality\nEverything at once.",
        "".join(f"# {name}\nThe data are good.\n" for name in ("Collection", "Sources", "Cleaning", "Quality")),
    ],
)
def test_what_says_nothing_does_not_count(text: str) -> None:
    assert found(text) == set()


def test_a_word_within_another_names_nothing() -> None:
    assert aspects_named("Resources") == set()
    assert aspects_named("Data Sources") == {"0103-1"}


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("README", True), ("README.md", True), ("a/b/readme.zh-CN.md", True), ("README_en.txt", True),
        ("数据说明.md", True), ("说明文档.txt", True), ("datasheet.md", True), ("dataset_card.md", True),
        ("README.docx", False), ("readmission.csv", False), ("notes.md", False), ("readme.csv", False),
    ],
)  # fmt: skip
def test_documents_are_known_by_their_names(path: str, is_one: bool) -> None:
    assert is_document(path) is is_one


HEADINGS = st.lists(
    st.sampled_from([*(word for aspect in ASPECTS for word in aspect.words), "Palmer", "其他"]), min_size=1, max_size=4
).map(" and ".join)
TEXTS = st.sampled_from(
    ["", "TODO", "待补充", "MIT", "The same.", "企鹅 344 只", "Visited twice.", "by hand", "n", "N/A"]
)


@given(st.lists(st.tuples(HEADINGS, TEXTS), max_size=12))
def test_it_is_what_a_naive_reading_finds(blocks: list[tuple[str, str]]) -> None:
    # Each heading has text: what stands under nothing but another heading is read beyond the naive.
    text = "".join(f"## {heading}\n{said or '-'}\n\n" for heading, said in blocks)
    assert len(found(text)) == doc_1(text, {aspect.id: aspect.words for aspect in ASPECTS})


@given(st.text(max_size=400))
def test_no_text_breaks_the_reading(text: str) -> None:
    assert found(text) <= {aspect.id for aspect in ASPECTS}


def test_runs_of_blanks_take_no_time_and_hide_nothing() -> None:
    blanks = " \t" * 100_000
    fields = sections(f"-{blanks}x{blanks}y\nx{blanks}{'y' * 50}\n- Purpose{blanks}:{blanks}{'z ' * 1000}end\n")
    assert [(field.heading, field.text[:5], field.text[-5:]) for field in fields] == [("Purpose", "z z z", "z end")]


def test_a_numbered_line_behind_a_run_of_blanks_takes_no_time() -> None:
    assert {section.heading for section in sections(f"{' ' * 150}1. x\n" * 5_000)} == {"x"}
