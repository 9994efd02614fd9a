"""One cell, read in Python and in SQL: both are the naive reading."""

from __future__ import annotations

import re

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jiebang.constraints import Domain
from jiebang.dataset.cell_sql import INSTANT, NUMERIC, Reading, conforming_types, install, install_time_format
from jiebang.dataset.cells import Conforms, canonical, conforming, millionths
from jiebang.dataset.table_sql import canonical_select, select_again
from jiebang.dataset.tables import ColumnType
from jiebang.dataset.text_columns import integer_array, nullable_view_array
from jiebang.declaration import DEFAULT_MISSING
from tests.naive import cells as naive

DIGITS = st.text("0123456789", max_size=22)
NUMBERS = st.builds(
    lambda sign, whole, point, fraction, exponent: sign + whole + point + fraction + exponent,
    st.sampled_from(["", "", "+", "-"]),
    DIGITS | st.sampled_from(["9223372036854775807", "9223372036854775808", "9" * 32, "1" + "0" * 32, "0" * 40 + "1"]),
    st.sampled_from(["", ".", ".", "_", ","]),
    DIGITS | st.sampled_from(["5", "0000005", "00000049999", "0" * 40]),
    st.sampled_from(["", "", "", "e5", "E-7", "e+31", "e32", "e-40", "e999999999999999", "e-99999999999999", "e", "f"]),
)
TIMES = st.builds(
    lambda year, mark, month, day, between, clock, zone: f"{year}{mark}{month}{mark}{day}{between}{clock}{zone}",
    st.sampled_from(["2024", "1900", "2000", "0000", "0001", "9999", "24", "１９９９"]),
    st.sampled_from(["-", "-", "/", ".", ""]),
    st.sampled_from(["01", "02", "12", "13", "00", "2"]),
    st.sampled_from(["01", "28", "29", "30", "31", "32", "00", "3"]),
    st.sampled_from(["", "T", " ", "  ", "t"]),
    st.sampled_from(["", "", "00:00", "23:59:60", "24:00", "23:59:59.123456789", "12:30:15.", "12:3", "07:08:09"]),
    st.sampled_from(["", "", "Z", "z", "+08:00", "+0800", "+24:00", "-23:59", "+08"]),
)
LONG = ["1." + "4" * 400, "0" * 400 + "7.5", "-0." + "0" * 300 + "15e295", "1" + "0" * 400 + "e-399", "9" * 400]
WORDS = st.sampled_from(
    [
        *DEFAULT_MISSING,
        *LONG,
        *("true", "FALSE", "tRuE", "none", "inf", "0x10", "1_000", "１２", "'", "a\0b", "e\0\u0301", "1e3", "5."),
    ]
)
CHARACTERS = st.text(
    st.sampled_from("ab é\t\r\n\u00a0\u3000\u0301\u0327\u1100\u1161\u11a8\u212b\ufb2a\U0001d15e数\uff11\u200b\0'\\%")
    | st.characters(exclude_categories=["Cs"]),
    max_size=8,
)
DAMAGED = st.lists(
    st.sampled_from(
        [
            "<",
            ">",
            "</p>",
            "<a href='x'>",
            "<br/>",
            "<书名>",
            "<1>",
            "<b ",
            "a",
            "数",
            "\ufffd",
            "\0",
            "\x7f",
            "\x85",
            "\x1b",
            "\ue000",
            "\U000f0000",
            "Â",
            "Ã",
            "©",
            "\u0080",
            "â",
            "€",
            "ï»¿",
            "ï¿½",
            "ï",
            "锟斤拷",
            "锟",
            "斤拷",
            "屯",
            "\t",
            " ",
        ]
    )
    | CHARACTERS,
    max_size=8,
).map("".join)
BLANKS = st.text(" \t\r\n\u00a0\u3000", max_size=2)
TEXTS = st.builds(
    lambda before, text, after: before + text + after, BLANKS, NUMBERS | TIMES | WORDS | CHARACTERS, BLANKS
)
MISSING = st.sampled_from(
    [DEFAULT_MISSING, (), ("",), ("-999", "0"), (" x ", "2024-01-01", "true"), ("e\u0301", "é", "a\0b", "'")]
)
BITS = {ColumnType(kind): bit for kind, bit in zip(naive.INFERRED, list(Conforms)[:5], strict=True)}


@settings(max_examples=1500, deadline=None)
@given(text=TEXTS, missing=MISSING)
@example(text="9" * 5_000, missing=())
@example(text="0" * 5_000 + "x", missing=())
@example(text="." + "0" * 4_000 + "1e4000", missing=())
def test_a_cell_is_read_as_the_rules_say(text: str, missing: tuple[str, ...]) -> None:
    cell = canonical(text, missing)
    assert cell == naive.canonical(text, missing)
    if cell is None:
        return
    types = conforming(cell)
    for kind, bit in BITS.items():
        assert bool(types & bit) == naive.conforms(cell, kind.value), kind
    if types & Conforms.DECIMAL:
        assert millionths(cell) == naive.millionths(cell)


@pytest.mark.parametrize(
    "text", ["9" * 3_000_000, "0" * 3_000_000 + "x", "1." + "1" * 3_000_000 + "e", "9e" + "9" * 3_000_000]
)
def test_an_absurd_cell_costs_no_more_than_its_length(text: str) -> None:
    assert conforming(text) is Conforms.NOTHING
    assert millionths(text) is None


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect(":memory:", config={"threads": 1})
    install(opened)
    install_time_format(opened, "jb_time", "%d.%m.%Y")
    return opened


def rows(connection: duckdb.DuckDBPyConnection, texts: list[str | None], sql: str) -> list[tuple[object, ...]]:
    schema = pa.schema([("f", pa.int32()), ("r", pa.int64()), ("c0", pa.string_view())])
    files = pa.Array.from_buffers(pa.int32(), len(texts), [None, pa.py_buffer(bytes(4 * len(texts)))])
    ordinals = integer_array(np.arange(1, len(texts) + 1, dtype=np.int64))
    cells = nullable_view_array([None if text is None else text.encode() for text in texts])
    connection.register("raw", pa.Table.from_arrays([files, ordinals, cells], schema=schema))
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.unregister("raw")


def naive_row(text: str | None, kind: ColumnType, missing: tuple[str, ...]) -> tuple[object, ...]:
    cell = naive.canonical(text, missing)
    if kind is ColumnType.TEXT:
        return (cell,)
    conforms = None if cell is None else int(naive.conforms(cell, kind.value))
    value = naive.millionths(cell) if cell is not None and conforms and kind in NUMERIC else None
    return (cell, conforms, value) if kind in NUMERIC else (cell, conforms)


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(TEXTS | st.none(), min_size=1, max_size=30), kind=st.sampled_from(list(ColumnType)), missing=MISSING
)
def test_sql_reads_a_column_as_the_rules_say(
    texts: list[str | None], kind: ColumnType, missing: tuple[str, ...], connection: duckdb.DuckDBPyConnection
) -> None:
    readings = {0: Reading(kind, missing)}
    columns = "s0" + (", k0" if kind is not ColumnType.TEXT else "") + (", x0" if kind in NUMERIC else "")
    select = canonical_select("raw", {0: "c0"}, readings, [0])
    right = [naive_row(text, kind, missing) for text in texts]
    assert rows(connection, texts, f"SELECT {columns} FROM ({select}) ORDER BY r") == right
    # A column that was guessed to be text gives the same when its type is found later.
    guessed = canonical_select("raw", {0: "c0"}, {0: Reading(ColumnType.TEXT, missing)}, [0])
    again = select_again("guessed", {0: Reading(ColumnType.TEXT, missing)}, readings, [0])
    sql = f"WITH guessed AS MATERIALIZED ({guessed}) SELECT {columns} FROM ({again}) ORDER BY r"
    assert rows(connection, texts, sql) == right


@settings(max_examples=200, deadline=None)
@given(cells=st.lists(TEXTS.map(lambda text: naive.canonical(text, ("",)) or "x"), min_size=1, max_size=30))
def test_sql_knows_all_types_of_a_cell(cells: list[str], connection: duckdb.DuckDBPyConnection) -> None:
    found = rows(connection, list(cells), f"SELECT {conforming_types('c0')} FROM raw ORDER BY r")
    assert found == [(int(conforming(cell)),) for cell in cells]


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(TEXTS | TIMES, min_size=1, max_size=30), kind=st.sampled_from(list(ColumnType)))
@example(
    texts=["2024-03-05T06:07:08.1234567+0530", "0001-01-01 00:00+23:59", "9999-12-31T23:59Z"], kind=ColumnType.TEXT
)
def test_sql_makes_the_instants_that_the_rules_make(
    texts: list[str], kind: ColumnType, connection: duckdb.DuckDBPyConnection
) -> None:
    readings = {0: Reading(kind, ("",), instant_function=INSTANT)}
    select = canonical_select("raw", {0: "c0"}, readings, [0])
    cells = [naive.canonical(text, ("",)) for text in texts]
    right = [(None if cell is None else naive.instant(cell),) for cell in cells]
    assert rows(connection, list(texts), f"SELECT t0 FROM ({select}) ORDER BY r") == right


def test_a_declared_format_makes_the_instants(connection: duckdb.DuckDBPyConnection) -> None:
    texts: list[str | None] = ["01.02.2024", "30.02.2024", "2024-02-01", None, "01.01.1970"]
    reading = Reading(ColumnType.TIMESTAMP, (), time_function="jb_time", instant_function="jb_time")
    select = canonical_select("raw", {0: "c0"}, {0: reading}, [0])
    right = [None if text is None else naive.instant(text, "%d.%m.%Y") for text in texts]
    assert [found[0] for found in rows(connection, texts, f"SELECT t0 FROM ({select}) ORDER BY r")] == right
    assert right == [1706745600000000, None, None, None, 0]


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(DAMAGED, min_size=1, max_size=20))
def test_sql_counts_the_characters_and_the_damage(texts: list[str], connection: duckdb.DuckDBPyConnection) -> None:
    select = canonical_select("raw", {0: "c0"}, {0: Reading(ColumnType.TEXT, ("",), characters=True)}, [0])
    cells = [naive.canonical(text, ("",)) for text in texts]
    right = [(None, None) if cell is None else (len(cell), naive.damaged_characters(cell)) for cell in cells]
    assert rows(connection, list(texts), f"SELECT l0, e0 FROM ({select}) ORDER BY r") == right


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(TEXTS | st.sampled_from(["p", "q", "ab1"]), min_size=1, max_size=20))
def test_sql_holds_cells_against_their_domain(texts: list[str], connection: duckdb.DuckDBPyConnection) -> None:
    cells = [naive.canonical(text, ("",)) for text in texts]
    for domain, test in (
        (Domain(values=("p", "true", "'", "é")), lambda cell: cell in ("p", "true", "'", "é")),
        (Domain(pattern="[a-z0-9]{1,3}"), lambda cell: re.fullmatch("[a-z0-9]{1,3}", cell) is not None),
        (Domain(values=("p", "pppp"), pattern="[a-z]"), lambda cell: cell == "p"),
    ):
        select = canonical_select("raw", {0: "c0"}, {0: Reading(ColumnType.TEXT, ("",), domain=domain)}, [0])
        right = [(None if cell is None else int(test(cell)),) for cell in cells]
        assert rows(connection, list(texts), f"SELECT d0 FROM ({select}) ORDER BY r") == right


def test_a_declared_time_format_decides_what_conforms(connection: duckdb.DuckDBPyConnection) -> None:
    texts: list[str | None] = ["01.02.2024", " 1.2.2024", "30.02.2024", "2024-02-01", "NA", "０1.02.2024", None]
    reading = Reading(ColumnType.TIMESTAMP, DEFAULT_MISSING, time_function="jb_time")
    select = canonical_select("raw", {0: "c0"}, {0: reading}, [0])
    found = rows(connection, texts, f"SELECT s0, k0 FROM ({select}) ORDER BY r")
    assert found == [
        ("01.02.2024", 1), ("1.2.2024", 1), ("30.02.2024", 0), ("2024-02-01", 0), (None, None), ("０1.02.2024", 0),
        (None, None),
    ]  # fmt: skip


def test_every_day_of_four_centuries_is_real_in_sql_as_in_python(connection: duckdb.DuckDBPyConnection) -> None:
    days = [
        f"{year:04}{mark}{month:02}{mark}{day:02}"
        for year in (1, 4, 100, 400, 1582, 1900, 2000, 2023, 2024, 9999)
        for mark in "-/"
        for month in range(14)
        for day in range(33)
    ]
    select = canonical_select("raw", {0: "c0"}, {0: Reading(ColumnType.DATE, ())}, [0])
    found = rows(connection, list(days), f"SELECT k0 FROM ({select}) ORDER BY r")
    assert found == [(int(naive.is_date(day)),) for day in days]


def test_every_character_is_composed_in_sql_as_in_python(connection: duckdb.DuckDBPyConnection) -> None:
    texts = [f"a{chr(code)}b" for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    select = canonical_select("raw", {0: "c0"}, {0: Reading(ColumnType.TEXT, ())}, [0])
    found = rows(connection, list(texts), f"SELECT s0 FROM ({select}) ORDER BY r")
    wrong = [text for text, (cell,) in zip(texts, found, strict=True) if cell != naive.canonical(text, ())]
    assert wrong == []
