"""The page of detectors says what the detectors say of themselves."""

from __future__ import annotations

from pathlib import Path

from jiebang.detectors import CLASSES, DETECTORS
from jiebang.detectors.catalogue import NUMBERS
from jiebang.detectors.page import page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "detectors.md"


def test_the_page_is_what_the_table_of_detectors_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m jiebang.detectors.page > docs/detectors.md`"


def test_every_class_is_on_the_page_with_what_to_do() -> None:
    written = page()
    for found in CLASSES:
        assert f"`{found.name}`" in written
        assert found.advice.endswith(".")


def test_every_detector_gives_classes_that_there_are() -> None:
    assert len(NUMBERS) == len(CLASSES)
    assert len({detector.name for detector in DETECTORS}) == len(DETECTORS)
    assert {name for detector in DETECTORS for name in (detector.name, detector.also) if name} <= set(NUMBERS)
