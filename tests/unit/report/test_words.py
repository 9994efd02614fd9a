"""Everything that the page says is said in English and in Chinese, and nothing is kept that no page says."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import jiebang.report
from jiebang.dataset.tables import ColumnType
from jiebang.fixes import EVERY_MEASURE
from jiebang.gates.content import FileKind
from jiebang.measures import BY_ID
from jiebang.report import reading, words
from jiebang.report.reading import Wording
from jiebang.report.words import phrase
from jiebang.result import Status
from jiebang.rubric import Rubric, presets

REPORT = Path(jiebang.report.__file__).parent
SOURCES = [*REPORT.glob("templates/*.html"), REPORT / "page.py"]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
NAMES_ALIKE = {"csv", "jsonl", "json", "parquet"}


def every_wording() -> list[tuple[str, Wording]]:
    lists = {
        "phrase": words.PHRASES,
        "type": words.TYPES,
        "kind": words.KINDS,
        "measure": reading.MEASURES,
        "gate": reading.GATES,
        "dimension": reading.DIMENSIONS,
        "status": reading.STATUSES,
    }
    return [(f"{of} {name}", wording) for of, named in lists.items() for name, wording in named.items()]


@pytest.mark.parametrize(
    ("name", "wording"), every_wording(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_wording_is_in_both_languages(name: str, wording: Wording) -> None:
    assert wording.en.strip()
    assert not CHINESE.search(wording.en)
    assert CHINESE.search(wording.zh) or name.split()[-1] in NAMES_ALIKE


def test_the_page_says_only_phrases_that_there_are_and_all_of_them() -> None:
    said: set[str] = set()
    for source in SOURCES:
        text = source.read_text(encoding="utf-8")
        said |= set(re.findall(r"""(?:said|phrase)\(\s*"([a-z_0-9]+)\"""", text))
        said |= set(re.findall(r"""PHRASES\["([a-z_0-9]+)"\]""", text))
    assert said == set(words.PHRASES)


@pytest.mark.parametrize("key", words.PHRASES)
def test_both_languages_of_a_phrase_are_filled_from_the_same_values(key: str) -> None:
    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    values = {name: "7" for wording in words.PHRASES.values() for name in places(wording.en) | places(wording.zh)}
    assert all("{" not in phrase(key, language, **values) for language in words.LANGUAGES)
    # Only how many there are may be left unsaid by one of them: Chinese counts all files, English those left.
    assert (places(words.PHRASES[key].en) ^ places(words.PHRASES[key].zh)) <= {"n", "all", "letter", "grade_alone"}


def test_an_english_phrase_counts_one_and_many() -> None:
    assert phrase("places", "en", n=1) == "Where: 1 place"
    assert phrase("places", "en", n=2) == "Where: 2 places"
    assert phrase("places", "zh", n=1) == "位置：1 处"


def test_every_measure_has_a_name_and_advice_in_chinese() -> None:
    assert set(reading.MEASURES) == set(BY_ID)
    assert set(words.ADVICE) == {EVERY_MEASURE, *BY_ID}
    assert set(words.TO_DECLARE) == {name for name, measure in BY_ID.items() if measure.wanted}
    for said in (*words.ADVICE.values(), *words.TO_DECLARE.values()):
        assert CHINESE.search(said)


def test_everything_that_a_report_may_name_has_a_name_for_people() -> None:
    assert set(words.TYPES) == set(ColumnType)
    assert set(words.KINDS) == set(FileKind)
    assert set(reading.STATUSES) == set(Status)
    for preset in presets():
        assert {dimension.name for dimension in Rubric.load(preset).dimensions} <= set(reading.DIMENSIONS)
