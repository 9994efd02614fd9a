"""What the sandbox leaves, read as the hostile thing it may be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jiebang.sandbox import Outcome, OutcomeStatus
from services.scoring import measuring
from services.scoring.measuring import _with_page

DONE = Outcome(OutcomeStatus.DONE, {"total": "1.000000"})


def test_the_page_beside_an_honest_result_is_taken(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_bytes(b"<p>")
    assert _with_page(DONE, tmp_path).page == b"<p>"


def test_an_outcome_without_a_result_has_no_page(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_bytes(b"<p>")
    found = _with_page(Outcome(OutcomeStatus.KILLED_TIME), tmp_path)
    assert (found.outcome.status, found.page) == (OutcomeStatus.KILLED_TIME, b"")


@pytest.mark.parametrize("left", ["nothing", "a link", "a pipe", "a folder", "too much"])
def test_a_child_that_leaves_anything_else_than_a_page_has_crashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    page = tmp_path / "report.html"
    match left:
        case "a link":
            page.symlink_to("/etc/passwd")
        case "a pipe":
            os.mkfifo(page)
        case "a folder":
            page.mkdir()
        case "too much":
            monkeypatch.setattr(measuring, "_LARGEST_PAGE", 10)
            page.write_bytes(b"x" * 11)
    found = _with_page(DONE, tmp_path)
    assert (found.outcome.status, found.page) == (OutcomeStatus.CRASHED, b"")
