"""CSV by the rules: against the naive reading, at every place where a block may end."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from jiebang.dataset import csv_records, encoding
from jiebang.dataset.dialect import Header, find_header
from tests.naive.records import TRIMMED, decode, read_csv
from tests.unit.dataset.reading import Read, read, source_of

PIECES = st.sampled_from(
    [
        b",",
        b"\t",
        b";",
        b"|",
        b"\n",
        b"\r",
        b"\r\n",
        b'"',
        b'""',
        b" ",
        b"a",
        b"b",
        b"1",
        "\u3000".encode(),
        "数".encode(),
        b"\xff",
        b"\xc2\xa0",
        b"\0",
        b"a long text beyond twelve bytes",
    ]
)
FIELDS = st.sampled_from(
    [
        b"",
        b"a",
        b"12",
        b'"x"',
        b'"x,y"',
        b'"two\nlines"',
        b'"say ""hi"""',
        b'""',
        b'5" disk',
        b'"a"b',
        b" ",
        "数据".encode(),
        b'"a longer, quoted ""text"" of a cell"',
        b"a longer text of a cell",
    ]
)
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\r\r\n", b"\n\n"])


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Mostly regular lines of one width, so that most records parse, with every kind of fault among them."""
    width = draw(st.integers(1, 4))
    lines = draw(st.lists(st.lists(FIELDS, min_size=width, max_size=width), max_size=12))
    text = b",".join(b"c%d" % number for number in range(width))
    for line in lines:
        surplus = draw(st.sampled_from([0] * 9 + [1, -1]))
        fields = line[:surplus] if surplus < 0 else line + [b""] * surplus
        text += draw(ENDS) + b",".join(fields)
    return text + draw(st.sampled_from([b"", b"\n", b"\r\n"]))


def naive(content: bytes) -> Read:
    file = read_csv("a", content, None)
    records = {
        ordinal: tuple(record[name] for name in file.columns)
        for ordinal, record in zip(file.ordinals, file.records, strict=True)
    }
    return Read(tuple(file.columns), file.attempted, records, {})


def assert_read_as_naive(content: bytes, block: int, folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "BLOCK_BYTES", block)
        patch.setattr(csv_records, "_LEAST_PATIENCE", 1)
        found = read(content, folder)
    right = naive(content)
    assert (found.attempted, found.records) == (right.attempted, right.records)
    if right.attempted:
        names = [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in right.names]
        assert list(found.names) == names
    assert len(found.failures) == min(20, found.attempted - len(found.records))


@settings(max_examples=400, deadline=None)
@given(content=tables(), block=st.integers(1, 60))
def test_a_table_is_read_as_the_rules_say_wherever_blocks_end(content: bytes, block: int, folder: Path) -> None:
    assert_read_as_naive(content, block, folder)


@settings(max_examples=400, deadline=None)
@given(content=st.lists(PIECES, max_size=40).map(b"".join), block=st.integers(1, 60))
@example(content=b'a,b\n"x"y,"\n2', block=4)
@example(content=b'a\n"', block=60)
def test_any_bytes_are_read_as_the_rules_say(content: bytes, block: int, folder: Path) -> None:
    assume(decode(content, None).strip(TRIMMED))  # blank lines alone have no header to tell what a tab is
    assert_read_as_naive(content, block, folder)


def test_failed_records_are_told_by_ordinal_and_reason(folder: Path) -> None:
    found = read(b'a,b\n1,2\n3\n\n"x"y,4\n5,6\n7,"open\n8,9', folder)
    assert list(found.records) == [1, 4]
    assert found.failures == {
        2: "its number of fields is not the header's",
        3: "text follows a closing quote",
        5: "a quote is never closed",
    }


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_record_that_is_too_long_fails_and_the_next_is_read(
    quote: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "BLOCK_BYTES", 100)
    monkeypatch.setattr(csv_records, "MAX_RECORD_BYTES", 1_000)
    long = quote + b"x" * 5_000 + (b'""\n,' if quote else b"") + quote
    found = read(b"a,b\n1,2\n3," + long + b"\n4,5\n", folder)
    assert found.attempted == 3
    assert found.records == {1: ("1", "2"), 3: ("4", "5")}
    assert found.failures == {2: "it is longer than 16 MiB"}


def test_a_header_that_is_too_long_makes_the_file_unreadable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BLOCK_BYTES", 100)
    monkeypatch.setattr(csv_records, "MAX_RECORD_BYTES", 1_000)
    assert "the header is longer than" in str(source_of(b"x" * 5_000 + b"\n1\n", folder).problem)


def test_names_are_trimmed_composed_and_numbered_where_they_repeat(folder: Path) -> None:
    found = read("\u3000a ,e\u0301,é,,,a#2,a\n".encode(), folder)
    assert found.names == ("a", "é", "é#2", "", "#2", "a#2", "a#3")


def test_a_declared_encoding_overrides_what_the_bytes_suggest(folder: Path) -> None:
    content = "a\né\n".encode("latin-1")
    assert read(content, folder, encoding="latin-1").records == {1: ("é",)}
    assert read(content, folder, encoding="utf-8").failures == {1: "it holds an undecodable byte"}


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_read_by_its_mark_and_half_a_character_fails_its_record(codec: str, folder: Path) -> None:
    mark = "\ufeff".encode(codec)
    unpaired = "\ud800".encode(codec, "surrogatepass")
    content = mark + "a,b\n1,数据\n2,".encode(codec) + unpaired + "\n3,x\n".encode(codec)
    found = read(content, folder)
    assert found.records == {1: ("1", "数据"), 3: ("3", "x")}
    assert found.failures == {2: "it holds an undecodable byte"}


def test_millions_of_blank_lines_before_a_header_take_no_room() -> None:
    text = b" \n\t\n\xe3\x80\x80\r\n" + b"\n" * 4_000_000 + b"\xc2\xa0\n"
    tracemalloc.start()
    try:
        header = find_header(text + b"a;b\n", final=False)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert header == Header(b";", ("a", "b"), len(text) + 3)
    assert most < 3 * len(text)
    assert find_header(text + b"a\tb\n", final=False) == Header(b"\t", ("", "#2"), 3)
