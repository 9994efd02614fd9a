"""A column that is full of one class is told by proofs of whole cells as a scan of each cell tells it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiebang.detectors import CLASSES
from jiebang.detectors.column_scan import ColumnScan
from jiebang.detectors.evaluate import read_lines
from jiebang.detectors.identity import check_character
from jiebang.detectors.lists import AS_OF
from jiebang.detectors.proofs import PROOFS
from jiebang.detectors.scanning import Cells, Finds, scanner

LINES = [line.text for line in read_lines(Path(__file__).with_name("labelled.jsonl"))]
FULL = ("phone", "email", "id_card", "child_id_card", "bank_card")


def identity(chance: random.Random, first_year: int, last_year: int) -> str:
    area = chance.choice(["110105", "310115", "620102", "990101", "440305"])
    number = f"{area}{chance.randint(first_year, last_year)}{chance.randint(0, 13):02}{chance.randint(0, 32):02}"
    number += f"{chance.randrange(1000):03}"
    return number + (check_character(number) if chance.random() < 0.9 else chance.choice("0123456789Xx"))


def card(chance: random.Random) -> str:
    digits = chance.choice(["62", "4", "51", "2221", "35", "3528", "34", "9"])
    return digits + "".join(chance.choice("0123456789") for _ in range(chance.choice([12, 13, 14, 15, 16, 17])))


def mailbox(chance: random.Random) -> str:
    name = chance.choice(
        ["li", "git", "user", "wx", "qq", "a-b", "password", "x" * 15, "13812345678", "zhang.san", "_a"]
    )
    digits = "".join(chance.choice("0123456789") for _ in range(chance.choice([0, 1, 5, 8, 9, 12])))
    domain = chance.choice(["qq", "163", "gmail", "example", "test", "13812345678", "8.8.8", "tsinghua.edu", "my-site"])
    return (
        f"{name}{digits}@{domain}.{chance.choice(['com', 'cn', 'org', 'png', 'test', 'example', 'c', 'COM', 'local'])}"
    )


def value(kind: str, chance: random.Random) -> str:
    if kind == "phone":
        return f"{chance.choice(['13', '19', '12', '138', '2'])}{chance.randrange(10**9):09}"
    if kind == "email":
        return mailbox(chance)
    if kind == "bank_card":
        return card(chance)
    return identity(chance, 1890, 2012) if kind == "id_card" else identity(chance, 2010, 2030)


def column(kind: str, seed: int, size: int = 2_000) -> list[str]:
    """Cells of one kind, right and nearly right, with some of everything between, and some empty."""
    chance = random.Random(seed)
    return [value(kind, chance) if chance.random() < 0.9 else chance.choice([*LINES, "", "　"]) for _ in range(size)]


def told(found: Finds) -> set[tuple[int, str]]:
    places, classes = found
    pairs = [(place, CLASSES[number].name) for place, number in zip(places.tolist(), classes.tolist(), strict=True)]
    assert len(pairs) == len(set(pairs)), "a cell is told of a class once"
    return set(pairs)


@pytest.mark.parametrize("kind", FULL)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_proved_is_what_a_scan_finds(kind: str, seed: int) -> None:
    cells = column(kind, seed)
    assert told(ColumnScan(scanner(), AS_OF).scan(pa.array(cells))) == told(
        scanner().scan(Cells.of_texts(cells), AS_OF)
    )


@pytest.mark.parametrize("kind", FULL)
def test_a_part_of_a_full_column_is_proved(kind: str) -> None:
    cells = column(kind, 7)
    found = Counter(name for _, name in told(scanner().scan(Cells.of_texts(cells), AS_OF)))
    proved = Counter[str]()
    for name, mask in PROOFS[kind](pa.array(cells, pa.large_string()), AS_OF):
        proved[name] += int(mask.sum())
    assert proved[kind] > 0.1 * found[kind] > 0


def test_nulls_and_slices_are_read_where_they_are() -> None:
    cells = [None, *column("phone", 3), None]
    whole = pa.array(cells)
    part = whole.slice(1, len(cells) - 2)
    assert {(place - 1, name) for place, name in told(ColumnScan(scanner(), AS_OF).scan(whole))} == told(
        ColumnScan(scanner(), AS_OF).scan(part)
    )


def test_every_class_is_found_where_a_quick_look_says_that_words_alone_are_there() -> None:
    """The look at single characters, before any scan, must let nothing go that is labelled."""
    for text in LINES:
        alone = told(scanner().scan(Cells.of_texts([text]), AS_OF))
        among = told(scanner().scan(Cells.of_texts([text, "1"]), AS_OF))
        assert {name for place, name in among if place == 0} == {name for _, name in alone}, text
