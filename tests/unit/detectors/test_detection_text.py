"""The quick tests of a block say of no text that it is plain which detectors would have to see in another form."""

from __future__ import annotations

import sys
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from jiebang.detectors.detection_text import UNUSUAL, detection_text
from jiebang.detectors.scanning import _is_unusual
from tests.naive import personal

MARKS = "…！（），；？：　"
"""What may stay wide, since it is no part of anything that is found."""

CHARACTERS = [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]


def test_every_character_that_stays_as_it_is_means_what_it_is() -> None:
    unusual = pc.match_substring_regex(pa.array(CHARACTERS), UNUSUAL).to_pylist()
    kept = [character for character, found in zip(CHARACTERS, unusual, strict=True) if not found]
    assert len(kept) > 20_000
    assert [character for character in kept if detection_text(character) != character and character not in MARKS] == []
    # Nothing that is kept composes with what stands before it.
    assert [character for character in kept if unicodedata.combining(character)] == []


def test_the_quick_test_of_bytes_misses_no_unusual_character() -> None:
    unusual = pc.match_substring_regex(pa.array(CHARACTERS), UNUSUAL).to_pylist()
    missed = [
        character
        for character, found in zip(CHARACTERS, unusual, strict=True)
        if found and not _is_unusual(memoryview(character.encode()))  # type: ignore[arg-type]  # any buffer
    ]
    assert missed == []


@settings(max_examples=300)
@given(st.text(st.sampled_from("a1F:.-中，：　（）!… \t"), max_size=12))
def test_the_quick_test_of_bytes_misses_no_unusual_pair(text: str) -> None:
    if pc.match_substring_regex(pa.array([text]), UNUSUAL)[0].as_py():
        assert _is_unusual(text.encode())


@given(st.text(max_size=30))
def test_the_text_is_that_of_a_plain_reading(text: str) -> None:
    assert detection_text(text) == personal.plain(text)


def test_tricks_that_hide_a_number_are_undone() -> None:
    for hidden in (
        "１３８１２３４５６７８",
        "138\u200b1234\u200b5678",
        "13812345678\ufeff",
        "١٣٨١٢٣٤٥٦٧٨",
        "138\u20601234\u00ad5678",
        "⑬",
    ):
        assert detection_text(hidden) in ("13812345678", "13")
