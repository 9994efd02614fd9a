"""A proof that a cell is canonical holds only where the rules leave the cell as it is."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiebang.dataset import encoding
from jiebang.dataset.opening import FileKind
from jiebang.dataset.proofs import unstable
from jiebang.dataset.tally import Tally
from tests.naive.cells import MISSING, canonical
from tests.unit.dataset.reading import source_of

EVERY = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
TEXTS = st.text(
    st.sampled_from(
        "ab1 \t\u00a0\u3000é\u0301\u0327\u1100\u1161\u212b\u2126\u2014\u2000\uff01\uff9e\uf900\ufb2a\U0001d15e"
    )
    | st.sampled_from("数据，。「」かがカガ\u3099\u302a\u3400\u9fff")
    | st.characters(exclude_categories=["Cs"]),
    max_size=9,
)


def test_no_character_that_composes_decomposes_or_combines_is_stable() -> None:
    content = "\n".join(EVERY).encode()
    found = set(unstable(np.frombuffer(content, dtype=np.uint8)).tolist())
    stable, at = [], 0
    for character in EVERY:
        if at not in found:
            stable.append(character)
        at += len(character.encode()) + 1
    # What may compose with a character before it is the second part of some decomposition, or a Hangul vowel or final.
    second = {
        chr(int(parts[1], 16))
        for character in EVERY
        if len(parts := unicodedata.decomposition(character).split()) == 2 and not parts[0].startswith("<")
    }
    second |= {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    assert len(stable) > 25_000
    assert {"a", "é", "数", "，", "。", "か", "が", "—", "\u4e00", "\u9fff", "\0"} <= set(stable)
    for character in stable:
        assert unicodedata.is_normalized("NFC", character)
        assert unicodedata.combining(character) == 0
        assert character not in second


@settings(max_examples=300, deadline=None)
@given(
    cells=st.lists(TEXTS | st.sampled_from(MISSING), min_size=1, max_size=12),
    longest=st.sampled_from([0, 4, 9]),
    block=st.sampled_from([20, 1 << 22]),
)
def test_a_proven_cell_is_canonical_and_longer_than_any_marker(
    cells: list[str], longest: int, block: int, folder: Path
) -> None:
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    content = "name,text\n" + "".join(f"{place},{cell}\n" for place, cell in enumerate(quoted))
    source = source_of(content.encode(), folder, FileKind.CSV)
    assert source.proves
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "BLOCK_BYTES", block)
        batches = list(source.batches((0, 1), Tally("a"), {1: longest}))
    for batch in batches:
        texts = batch.columns[1].to_pylist()
        assert texts == [cells[ordinal - 1] for ordinal in batch.ordinals]
        for text, proven in zip(texts, batch.proven.get(1, np.zeros(len(texts), dtype=np.bool_)), strict=True):
            if proven:
                assert canonical(text, ()) == text
                assert len(text.encode()) > longest


def test_plain_texts_are_proven(folder: Path) -> None:
    content = "text\nplain words\n数据质量\nlong enough，数据\n".encode()
    (batch,) = source_of(content, folder).batches((0,), Tally("a"), {0: 4})
    assert batch.proven[0].tolist() == [True, True, True]


def test_nothing_is_proven_where_bytes_may_be_wrong(folder: Path) -> None:
    source = source_of("text\nplain words\n".encode("latin-1"), folder, encoding="latin-1")
    (batch,) = source.batches((0,), Tally("a"), {0: 4})
    assert not source.proves
    assert not batch.proven
