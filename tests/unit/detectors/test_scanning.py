"""What is found in a cell is what a plain reading finds, whatever cells it is scanned with."""

from __future__ import annotations

import datetime
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jiebang.detectors import CLASSES, DETECTORS, text_files
from jiebang.detectors.definition import Candidate
from jiebang.detectors.detection_text import detection_text
from jiebang.detectors.evaluate import read_lines
from jiebang.detectors.lists import AS_OF
from jiebang.detectors.scanning import Cells, Finds, Scanner, scanner
from jiebang.detectors.text_files import LONGEST_PIECE, MOST_PIECES, found_in_text, is_text
from tests.naive import personal

LINES = list(read_lines(Path(__file__).with_name("labelled.jsonl")))
TELLING = {"phone", "id_card", "child_id_card", "bank_card", "imei", "ip_address"}

# Numbers that pass and nearly pass, and what may stand beside them.
PARTS = [
    *("13812345678", "138", "1234", "5678", "86", "0086", "+86", "11010519491231002", "X", "x", "110105201506010016"),
    *(
        "110105201506010011",
        "4111",
        "1111",
        "4111111111111111",
        "6222021234567890128",
        "378282246310005",
        "3782",
        "822463",
    ),
    *("10005", "490154203237518", "35", "8.8.8.8", "8.8", ".8", "192.168.1.1", "0", "1", "9", "*", "**"),
    *(" ", "-", ".", ",", "。", "：", "a", "中", "\u200b", "１３８", "　", "\n", "@", "/"),
]
texts = st.lists(st.sampled_from(PARTS), max_size=9).map("".join)


def classes(cells: list[str], as_of: datetime.date = AS_OF) -> list[set[str]]:
    places, numbers = scanner().scan(Cells.of_texts(cells), as_of)
    found: list[set[str]] = [set() for _ in cells]
    for place, number in zip(places.tolist(), numbers.tolist(), strict=True):
        found[place].add(CLASSES[number].name)
    return found


@settings(max_examples=500, deadline=None)
@given(texts)
@example("0086-138 1234-5678")
@example("8613812345678")
@example("86 86 13812345678")
@example("1.4111111111111111")
@example("378282246310005.")
@example("4111 1111 1111 1111 1")
@example("8.8.8.8.")
@example("13812345678*")
def test_exact_rules_are_those_of_a_plain_reading(text: str) -> None:
    assert classes([text])[0] & TELLING == personal.classes_of(text, AS_OF)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(texts, st.sampled_from([line.text for line in LINES])), max_size=12))
def test_a_cell_is_told_the_same_alone_and_among_others(cells: list[str]) -> None:
    assert classes(cells) == [classes([cell])[0] for cell in cells]


def everything(text: str) -> set[str]:
    """What the exact patterns and validators say, over the whole text at once and without candidates."""
    plain = detection_text(text).encode()
    found = set()
    for detector in DETECTORS:
        match = detector.exact.search(plain)
        while match is not None:
            name = detector.validate(Candidate(plain, match.start(), match.end(), AS_OF))
            if name is not None:
                found.add(name)
            match = detector.exact.search(plain, match.start() + 1)
    return found


def test_candidates_miss_nothing_that_the_exact_patterns_find() -> None:
    held = [line.text for line in LINES if line.column is None]
    assert classes(held) == [everything(text) for text in held]


@settings(max_examples=60, deadline=None)
@given(st.permutations([line.text for line in LINES if line.column is None]).map(lambda lines: lines[:25]))
def test_long_cells_are_looked_through_as_a_whole(lines: list[str]) -> None:
    """In a long cell only what is around a candidate is looked at; that must be enough."""
    cell = "; 然后 ".join(lines)
    assert classes([cell])[0] == everything(cell)


def test_eight_digits_are_a_permit_only_right_behind_its_name() -> None:
    for text in ("QQ: 20008888。; 然后 台胞证123456", "台胞证 有效，编号 20008888 "):
        assert "travel_permit" not in classes([text])[0] | everything(text)
    assert classes(["台胞证号：20008888。"])[0] == everything("台胞证号：20008888。") == {"travel_permit"}


def test_a_long_line_in_pieces_holds_what_it_holds_as_a_whole(tmp_path: Path) -> None:
    secret = next(line for line in LINES if line.classes == {"github_token"}).text
    filler = "nothing to see here " * 10
    for place in (0, LONGEST_PIECE - 30, LONGEST_PIECE - 8192, 2 * LONGEST_PIECE + 17):
        text = (filler * (3 * LONGEST_PIECE // len(filler)))[: 3 * LONGEST_PIECE]
        text = f"first line\n{text[:place]} {secret} {text[place:]} 13812345678\nlast line 8.8.8.8"
        path = tmp_path / "long.txt"
        path.write_text(text)
        found = {(one.name, one.line, one.count) for one in found_in_text("long.txt", path, scanner(), AS_OF)}
        assert found == {("github_token", 2, 1), ("phone", 2, 1), ("ip_address", 3, 1)}


def test_text_of_any_encoding_is_looked_through(tmp_path: Path) -> None:
    text = "说明\n联系电话：13812345678\n"
    for encoding in ("utf-8", "gb18030", "utf-16", "utf-8-sig"):
        path = tmp_path / "README"
        path.write_text(text, encoding=encoding)
        assert [(one.name, one.line) for one in found_in_text("README", path, scanner(), AS_OF)] == [("phone", 2)]


def test_a_nul_hides_nothing(tmp_path: Path) -> None:
    secret = next(line for line in LINES if line.classes == {"github_token"}).text
    path = tmp_path / "notes"
    for content in (
        b"\0" + secret.encode(),
        f"{secret[:20]}\0{secret[20:]} \u8bf4\u660e".encode(),
        b"\x89PNG\r\n\x1a\n\0\0\xff\xfe\n" + secret.encode() + b"\n\xff\0",
        f"\u8bf4\u660e {secret}".encode("utf-16-le"),
        f"\u8bf4\u660e {secret}".encode("utf-16-be"),
    ):
        path.write_bytes(content)
        assert {one.name for one in found_in_text("notes", path, scanner(), AS_OF)} == {"github_token"}
    path.write_bytes("\0\u7535\u8bdd\uff1a13812345678".encode())
    assert is_text(path)
    path.write_bytes(b"\0\xff\xff\xff")
    assert not is_text(path)


class FindsInEveryLine(Scanner):
    """A scanner to which every line holds the first class; it keeps how many came together."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def scan(self, cells: Cells, as_of: datetime.date, without: frozenset[str] = frozenset()) -> Finds:
        self.sizes.append(len(cells.starts))
        places = np.arange(len(cells.starts), dtype=np.int64)
        return places, np.zeros(len(places), dtype=np.int16)


def test_a_file_of_empty_lines_is_looked_at_a_bounded_number_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_bytes(b"\n" * (1 << 19))
    scans = FindsInEveryLine()
    (one,) = found_in_text("empty.txt", path, scans, AS_OF)
    assert one.count == sum(scans.sizes) == (1 << 19) + 1
    assert max(scans.sizes) <= MOST_PIECES


def test_lines_that_hold_something_are_counted_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MOST_PIECES", 1 << 10)
    lines = 1 << 17
    path = tmp_path / "full.txt"
    path.write_bytes(b"\n" * lines)
    scans = FindsInEveryLine()
    tracemalloc.start()
    try:
        (one,) = found_in_text("full.txt", path, scans, AS_OF)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (one.count, one.line) == (lines + 1, 1)
    assert peak < 32 * lines, "a number alone has 28 bytes, and a list or set of them 8 more"
