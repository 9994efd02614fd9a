"""The page of tricks names all of them, and the corpus is as large as was promised."""

from __future__ import annotations

from tests.unit.gaming_page import BLIND_SPOTS, CORPORA, PAGE


def test_the_page_names_every_trick_once_and_none_that_gains() -> None:
    written = PAGE.read_text(encoding="utf-8")
    played, blind = written.split("## Blind spots")
    rows = [
        line.split(" | ") for line in played.splitlines() if line.startswith("| ") and line[2:5] not in ("tri", "---")
    ]
    names = [name for corpus in CORPORA for name in corpus.tricks]
    assert [row[0].removeprefix("| ") for row in rows] == names, "run `python -m tests.unit.gaming_page`"
    assert [row for row in rows if row[2].startswith("+") and not row[2].startswith("+0.00")] == []
    assert all(f"| {name} | " in blind for corpus in BLIND_SPOTS for name in corpus.tricks)
    assert len(set(names)) >= 60
