"""JSON by the rules: against the naive reading, with and without the short cut for lines of one shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiebang.dataset import encoding, json_array, json_records
from jiebang.dataset.json_values import MAX_DEPTH
from jiebang.dataset.opening import FileKind
from tests.naive.records import read_json
from tests.unit.dataset.reading import Read, read

NAMES = st.sampled_from(["a", "b", "id", "e\u0301", "名", "a b", 'q"', "é"])
NUMBERS = [
    "0",
    "-0",
    "1.0",
    "1e0",
    "-12.50",
    "1E+5",
    "9" * 40,
    "01",
    "1.",
    ".5",
    "-",
    "+1",
    "1.2.3",
    "--1",
    "00",
    "-01",
    "1e",
]
LITERALS = ["true", "false", "null", "True", "NaN", "Infinity", "-Infinity", "nul", "tru e"]
STRINGS = [
    *('""', '"x"', '"数据"', '"a, b: {c} [d]"', '"a text of more than twelve bytes"', '"e\u0301"'),
    *(
        r'"\"q\""',
        r'"\u6570"',
        r'"\ud800"',
        r'"\ud83d\ude00"',
        r'"\\"',
        r'"\q"',
        r'"a text, of more than \n twelve bytes"',
    ),
    *('"open', '"\t"', '"a" "b"'),
]
NESTED = ["{}", "[]", '{"b":1,"a":[1.0,"e\u0301",null,true]}', '{"a":1,"a":2}', "[1,", '[{"x":NaN}]', r'["\ud800"]']
VALUES = st.sampled_from(NUMBERS + LITERALS * 2 + STRINGS * 2 + NESTED)
PLAIN = st.sampled_from(
    ["0", "1", "-12.5", "true", "false", "null", '"x"', '"数据"', '"a text of more than twelve bytes"']
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Lines that mostly share names and blanks, with odd ones among them."""
    shapes = draw(st.lists(st.lists(NAMES, max_size=4), min_size=1, max_size=3))
    text = draw(st.sampled_from(["", "\ufeff", "\n", "\u3000\n"]))
    for _ in range(draw(st.integers(0, 25))):
        names = draw(st.sampled_from(shapes))
        colon, comma = draw(st.sampled_from([(":", ","), (": ", ", "), (": ", ", "), (" :", " ,"), (":  ", ",")]))
        values = [draw(draw(st.sampled_from([PLAIN, PLAIN, PLAIN, VALUES]))) for _ in names]
        pairs = (
            json.dumps(name, ensure_ascii=False) + colon + value for name, value in zip(names, values, strict=True)
        )
        line = "{" + comma.join(pairs) + "}"
        odd = draw(st.sampled_from(["", "", "", "", "", "", " ", "\r", "x", "{}", "[1]", "not json", "\t"]))
        text += (line + odd if odd in ("", " ", "\r", "x") else odd) + "\n"
    content = text.encode()
    return content if draw(st.booleans()) else content.rstrip(b"\n")


def naive(content: bytes, path: str) -> Read:
    file = read_json(path, content, None)
    records = {
        ordinal: tuple(record.get(name) for name in file.columns)
        for ordinal, record in zip(file.ordinals, file.records, strict=True)
    }
    return Read(tuple(file.columns), file.attempted, records, {})


@settings(max_examples=400, deadline=None)
@given(content=lines(), block=st.integers(1, 400), few=st.sampled_from([4, 50]))
def test_lines_are_read_as_the_rules_say(content: bytes, block: int, few: int, folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "BLOCK_BYTES", block)
        patch.setattr(json_records, "_FEW_LINES", few)
        found = read(content, folder, FileKind.JSONL)
    right = naive(content, "a.jsonl")
    assert (found.names, found.attempted, found.records) == (right.names, right.attempted, right.records)
    assert len(found.failures) == min(20, found.attempted - len(found.records))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.floats(-1e6, 1e6), st.text('ab{}[]",:\\ é', max_size=14)
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
)


@settings(max_examples=300, deadline=None)
@given(
    values=st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), TREES, max_size=3) | TREES, max_size=8),
    block=st.integers(1, 50),
    indent=st.sampled_from([None, 2]),
)
def test_the_elements_of_an_array_are_records(
    values: list[object], block: int, indent: int | None, folder: Path
) -> None:
    content = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "BLOCK_BYTES", block)
        found = read(content, folder, FileKind.JSON)
    right = naive(content, "a.json")
    assert (found.names, found.attempted, found.records) == (right.names, right.attempted, right.records)


@pytest.mark.parametrize(
    ("text", "records", "failures"),
    [
        ('{"a": 1,\n "b": [2]}', {1: ("1", "[2]")}, {}),
        ('{"a": 1}', {1: ("1",)}, {}),
        ('{"a": 1}\n{"a": 2}\n', {1: ("1",), 2: ("2",)}, {}),
        ('[{"a": 1, "a": 2}, {"a": 3}]', {2: ("3",)}, {1: "a name is repeated"}),
        ('[{"a": NaN}, {"a": 3}]', {2: ("3",)}, {1: "NaN and Infinity are not JSON"}),
        ('[{"a": tru}, 7, {"a": 2}]', {3: ("2",)}, {1: "it is not JSON", 2: "it is not an object"}),
        ('[{"a": 1}, {"a": 2', {1: ("1",)}, {2: "the array is broken here, and what follows is not read"}),
        ('[{"a": 1} {"a": 2}]', {1: ("1",)}, {2: "the array is broken here, and what follows is not read"}),
        ('[{"a": 1}', {1: ("1",)}, {2: "the array does not end"}),
        ("[]", {}, {}),
        ("", {}, {}),
        ("42", {}, {1: "it is not an object"}),
    ],
)
def test_a_json_document(
    text: str, records: dict[int, tuple[str, ...]], failures: dict[int, str], folder: Path
) -> None:
    found = read(text.encode(), folder, FileKind.JSON)
    assert (found.records, found.failures) == (records, failures)


@pytest.mark.parametrize("kind", [FileKind.JSONL, FileKind.JSON])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 200_000])
def test_a_record_that_is_nested_too_deep_fails_alone(kind: FileKind, depth: int, folder: Path) -> None:
    deep = '{"a": ' + "[" * depth + "]" * depth + "}"
    content = f'[{{"a": 1}},\n{deep},\n{{"a": 2}}]' if kind is FileKind.JSON else f'{{"a": 1}}\n{deep}\n{{"a": 2}}'
    found = read(content.encode(), folder, kind)
    assert found.records == {1: ("1",), 3: ("2",)}
    assert "nested more than" in found.failures[2]


def test_nesting_up_to_the_limit_is_read(folder: Path) -> None:
    deep = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert read(f'{{"a": {deep}}}'.encode(), folder, FileKind.JSONL).records == {1: (deep,)}


def test_a_line_that_is_too_long_fails_and_the_next_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BLOCK_BYTES", 100)
    monkeypatch.setattr(json_records, "MAX_RECORD_BYTES", 1_000)
    content = b'{"a": 1}\n{"a": "' + b"x" * 5_000 + b'"}\n{"a": 2}\n'
    found = read(content, folder, FileKind.JSONL)
    assert found.records == {1: ("1",), 3: ("2",)}
    assert found.failures == {2: "it is longer than 16 MiB"}


def test_an_element_that_is_too_long_ends_the_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BLOCK_BYTES", 100)
    monkeypatch.setattr(json_array, "MAX_RECORD_BYTES", 1_000)
    monkeypatch.setattr(json_records, "MAX_RECORD_BYTES", 1_000)
    content = b'[{"a": 1}, {"a": "' + b"x" * 5_000 + b'"}, {"a": 2}]'
    found = read(content, folder, FileKind.JSON)
    assert found.records == {1: ("1",)}
    assert found.attempted == 2
    assert found.failures == {2: "it is longer than 16 MiB, and what follows is not read"}


def test_an_undecodable_byte_fails_its_line(folder: Path) -> None:
    found = read(b'{"a": "\xc3\xa9"}\n{"a": "\xff"}\n{"a": "\xe6\x95\xb0"}\n', folder, FileKind.JSONL)
    assert found.records == {1: ("é",), 3: ("数",)}
    assert found.failures == {2: "it holds an undecodable byte"}
