"""The documentation says of the measures what the measures say of themselves."""

from __future__ import annotations

from pathlib import Path

from jiebang.declaration import KEYS
from jiebang.measures import EVERY, MEASURES
from jiebang.measures.catalogue import page, section

PAGE = Path(__file__).resolve().parents[3] / "docs" / "measures.md"


def test_the_list_holds_what_the_catalogue_writes() -> None:
    assert section() in PAGE.read_text(encoding="utf-8"), "run `python -m jiebang.measures.catalogue docs`"


def test_every_measure_has_the_page_that_the_catalogue_writes() -> None:
    folder = PAGE.parent / "measures"
    written = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    assert set(written) == {measure.id for measure in EVERY}
    assert {measure.id: page(measure) for measure in EVERY} == written, (
        "run `python -m jiebang.measures.catalogue docs`"
    )


def test_every_key_of_the_declaration_is_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [key for key in KEYS if f"`{key}`" not in page] == []


def test_every_measure_says_its_formula_and_gives_advice() -> None:
    for measure in MEASURES:
        assert len(measure.doc) > 100, measure.id
        assert measure.declares is None or measure.unmet.__doc__, measure.id
