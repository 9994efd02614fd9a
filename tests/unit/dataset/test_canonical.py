"""Whole datasets: the same cells however a dataset is cut, stored, limited or run."""

from __future__ import annotations

import random
import string
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jiebang.dataset import store
from jiebang.dataset.canonical import CanonicalDataset, ColumnType, Table, canonicalise
from jiebang.dataset.csv_records import CsvReader
from jiebang.dataset.opening import open_dataset
from jiebang.declaration import Declaration
from jiebang.errors import DatasetRefused
from tests.naive import read_dataset

WORDS = [
    "",
    "NA",
    " x ",
    "none",
    "数据",
    "e\u0301",
    "long text of a cell",
    'say "hi"',
    "two\nlines",
    "1",
    "-",
    "\u3000",
]


@contextmanager
def canonical(
    files: dict[str, bytes], declare: dict[str, Any] | None = None, **options: Any
) -> Iterator[CanonicalDataset]:
    closed = options.pop("closed", False)
    with tempfile.TemporaryDirectory() as name:
        folder, scratch = Path(name, "data"), Path(name, "scratch")
        scratch.mkdir()
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        dataset = open_dataset([folder], scratch=scratch)
        declaration = Declaration.parse(declare or {}, closed=closed)
        with canonicalise(dataset, declaration, scratch=scratch, **options) as result:
            yield result
        assert not list(scratch.glob("canonical-*"))


def cells(dataset: CanonicalDataset, table: Table) -> list[tuple[Any, ...]]:
    """All canonical cells in the order of files and records, without where they come from."""
    columns = []
    for column in table.columns:
        if column.present:
            columns.append(f"s{column.index}")
            columns += [f"k{column.index}"] * column.has_k + [f"x{column.index}"] * column.has_x
    listed = ", ".join(columns) or "1"
    return dataset.connection.execute(f"SELECT {listed} FROM {table.relation} ORDER BY f, r").fetchall()


def dirty_rows(number: int, seed: int) -> list[list[str]]:
    chance = random.Random(seed)
    rows = []
    for row in range(number):
        rows.append([
            str(row),
            str(chance.randint(-50, 5_000)) if chance.random() > 0.03 else chance.choice(WORDS),
            f"{chance.uniform(-1e6, 1e6):.{chance.randint(0, 9)}f}" if chance.random() > 0.05 else "9e30",
            f"20{chance.randint(10, 25)}-{chance.randint(1, 13):02}-{chance.randint(1, 28):02}",
            chance.choice(["true", "false", "TRUE", ""]),
            chance.choice(WORDS),
            "".join(chance.choices(string.ascii_letters + "é数 ", k=chance.randint(0, 20))),
        ])  # fmt: skip
    return rows


NAMES = ["id", "count", "amount", "day", "flag", "word", "text"]


def as_csv(rows: list[list[str]], end: str = "\n") -> bytes:
    def field(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if set(text) & set('",\r\n') else text

    return (end.join(",".join(map(field, row)) for row in [NAMES, *rows]) + end).encode()


def facts(table: Table) -> tuple[object, ...]:
    columns = [(c.name, c.type, c.present, c.has_k, c.has_x, c.out_of_range) for c in table.columns]
    return (columns, table.identity, table.records)


def test_however_a_dataset_is_cut_stored_or_run_its_cells_are_the_same() -> None:
    rows = dirty_rows(3_000, 1)
    with canonical({"a.csv": as_csv(rows)}) as dataset:
        (table,) = dataset.tables
        right, known = cells(dataset, table), facts(table)
        hashes = dataset.connection.execute(f"SELECT h FROM {table.relation} ORDER BY r").fetchall()
    assert table.attempted == table.records == 3_000
    (naive,) = read_dataset({"a.csv": as_csv(rows)}, {})
    assert [column.type for column in table.columns] == [naive.types[name] for name in NAMES]
    assert [row[0] for row in right] == naive.columns["id"]
    for threads in (1, 2, 8):
        with canonical({"a.csv": as_csv(rows, "\r\n")}, threads=threads) as dataset:
            (table,) = dataset.tables
            assert (cells(dataset, table), facts(table)) == (right, known)
            assert dataset.connection.execute(f"SELECT h FROM {table.relation} ORDER BY r").fetchall() == hashes
    fifty = {f"{part:02}.csv": as_csv(rows[60 * part : 60 * part + 60]) for part in range(50)}
    with canonical(fifty) as dataset:
        (table,) = dataset.tables
        assert (cells(dataset, table), facts(table)) == (right, known)
        assert table.files == tuple(fifty)
        last = dataset.connection.execute(f"SELECT max(f), count(DISTINCT f), max(r) FROM {table.relation}").fetchall()
        assert last == [(49, 50, 60)]
    with tempfile.NamedTemporaryFile() as target:
        columns = {name: [row[place] for row in rows] for place, name in enumerate(NAMES)}
        pq.write_table(pa.table(columns), target.name, row_group_size=500)
        content = Path(target.name).read_bytes()
    with canonical({"a.parquet": content}) as dataset:
        (table,) = dataset.tables
        assert (cells(dataset, table), facts(table)) == (right, known)


def test_tables_kept_as_parquet_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # The guess from the first records is wrong, so the table is also made anew out of itself.
    rows = dirty_rows(3_000, 2)
    for row in rows[:2_000]:
        row[5] = "7"
    with canonical({"a.csv": as_csv(rows)}) as dataset:
        (table,) = dataset.tables
        right, known = cells(dataset, table), facts(table)
        assert table.columns[5].type is ColumnType.TEXT
    made: list[bool] = []
    original = store.Store.__init__

    def on_disk(self: store.Store, connection: Any, folder: Path, *, in_memory: bool) -> None:
        made.append(in_memory)
        original(self, connection, folder, in_memory=False)

    monkeypatch.setattr(store.Store, "__init__", on_disk)
    with canonical({"a.csv": as_csv(rows)}) as dataset:
        (table,) = dataset.tables
        assert (cells(dataset, table), facts(table)) == (right, known)
    assert made == [True]


def test_little_memory_puts_tables_on_disk() -> None:
    content = as_csv(dirty_rows(50, 1)) + b"\n" * 130_000_000
    with canonical({"a.csv": content}, memory=500_000_000) as dataset:
        (kind,) = dataset.connection.execute("SELECT table_type FROM information_schema.tables").fetchall()[0]
        assert kind == "VIEW"
        assert dataset.tables[0].records == 50


def test_a_wrong_guess_costs_time_never_truth() -> None:
    early = ["1"] * 1_500
    late = {
        "decimal": ["2.5"] * 1_500,
        "text": ["x"] * 1_500,
        "integer": ["NA"] * 1_500,
        "date": ["2024-01-02"] * 20_000,
        "boolean": ["true"] * 20_000,
        "timestamp": ["2024-01-02T03:04"] * 20_000,
    }
    for right, cells_of in late.items():
        with canonical({"a.csv": ("n\n" + "\n".join(early + cells_of)).encode()}) as dataset:
            (table,) = dataset.tables
            assert table.columns[0].type == right
            numbers = dataset.connection.execute(f"SELECT count(s0) FROM {table.relation}").fetchall()
            assert numbers == [(1_500 if right == "integer" else 1_500 + len(cells_of),)]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (["1", "2"], "integer"), (["1", "2.0"], "decimal"), (["1e3", "1e4"], "decimal"), (["1.0"] * 3, "decimal"),
        (["2024-01-01"], "date"), (["2024-01-01", "2024-01-01 10:00"], "timestamp"), (["true"], "boolean"),
        (["1"] * 9 + ["x"], "integer"), (["1"] * 8 + ["x"], "text"), (["NA", ""], "text"), ([], "text"),
        (["1"] * 5 + ["1.5"] * 5, "decimal"), (["9223372036854775808"], "decimal"), (["1" * 40], "text"),
        (["1"] * 9 + ["1.5"], "decimal"), (["true"] * 5 + ["1"] * 5, "text"), (["2024/01/01", "2024-02-30"], "text"),
    ],
)  # fmt: skip
def test_the_type_is_what_most_cells_conform_to(column: list[str], kind: str) -> None:
    with canonical({"a.csv": ("c\n" + "\n".join(cell or '""' for cell in column)).encode()}) as dataset:
        assert dataset.tables[0].columns[0].type == kind


def test_what_is_beyond_int64_is_counted() -> None:
    with canonical(
        {"a.csv": b"n\n9223372036854.775807\n9223372036854.775808\n1e31\n-9223372036854775808\n1\n"}
    ) as dataset:
        (table,) = dataset.tables
        assert table.columns[0].out_of_range == 3
        assert cells(dataset, table)[0] == ("9223372036854.775807", 1, 2**63 - 1)


def test_files_with_the_same_columns_are_one_table_and_others_are_not() -> None:
    files = {
        "b.csv": b"x,y\n1,2\n",
        "a.csv": b"y,x\n3,4\n",
        "c.csv": b"x\n5\n",
        "d.jsonl": b'{"x":1,"y":2}\n',
        "e.csv": b"",
    }
    with canonical(files) as dataset:
        assert [(table.name, table.files) for table in dataset.tables] == [
            ("a.csv", ("a.csv", "b.csv")), ("c.csv", ("c.csv",)), ("d.jsonl", ("d.jsonl",)), ("e.csv", ("e.csv",)),
        ]  # fmt: skip
        first = dataset.tables[0]
        assert [column.name for column in first.columns] == ["y", "x"]
        assert [row[::3] for row in cells(dataset, first)] == [("3", "4"), ("2", "1")]
        assert [table.parsed for table in dataset.tables] == [True, True, True, False]


def test_identifiers_do_not_make_a_record_unless_nothing_else_is_left_or_they_are_the_key() -> None:
    content = b"id,Unnamed: 0,RID,x\n1,2,3,4\n"
    with canonical({"a.csv": content}) as dataset:
        assert dataset.tables[0].identity == (3,)
    with canonical({"a.csv": content}, {"key": ["RID"]}) as dataset:
        assert dataset.tables[0].identity == (2, 3)
    with canonical({"a.csv": b"id,uuid\n1,2\n"}) as dataset:
        assert dataset.tables[0].identity == (0, 1)


def test_missing_markers_are_declared_for_all_columns_or_by_column() -> None:
    content = b"strand,code\n-,-\nNA,NA\n+,1\n"
    with canonical({"a.csv": content}, {"missing": ["NA"]}) as dataset:
        assert cells(dataset, dataset.tables[0]) == [("-", "-"), (None, None), ("+", "1")]
    with canonical({"a.csv": content}, {"missing": {"strand": []}}) as dataset:
        table = dataset.tables[0]
        assert dataset.connection.execute(f"SELECT s0, s1 FROM {table.relation} ORDER BY r").fetchall() == [
            ("-", None), ("NA", None), ("+", "1"),
        ]  # fmt: skip


DEMAND = {"types": {"n": "integer", "gone": "date"}, "label": "y", "key": ["id"]}


def test_a_demand_decides_the_columns_and_types() -> None:
    files = {"b.csv": b"extra,n,id\n9,1,a\n", "a.jsonl": b'{"y":"p","n":"x"}\n', "z/c.txt": b"id,n,y\nb,2,q\n"}
    with canonical(files, DEMAND, closed=True) as dataset:
        (table,) = dataset.tables
        assert table.files == ("a.jsonl", "b.csv", "z/c.txt")
        assert [(c.name, str(c.type), c.present, c.declared, c.has_k) for c in table.columns] == [
            ("n", "integer", True, True, True),
            ("gone", "date", False, True, False),
            ("id", "text", True, False, False),
            ("y", "text", True, False, False),
        ]
        assert cells(dataset, table) == [
            ("x", 0, None, None, "p"),
            ("1", 1, 10**6, "a", None),
            ("2", 1, 2 * 10**6, "b", "q"),
        ]
        assert table.identity == (0, 2, 3)


def test_a_demand_of_tables_takes_its_files_and_warns_of_others() -> None:
    demand = {"tables": {"orders.csv": {"types": {"n": "integer"}}, "people.csv": {"types": {"id": "text"}}}}
    with canonical(
        {"orders/1.jsonl": b'{"n":1}\n', "orders/2.csv": b"n\n2\n", "more.csv": b"n\n3\n"}, demand, closed=True
    ) as found:
        orders, people = found.tables
        assert (orders.name, orders.files, orders.records) == ("orders.csv", ("orders/1.jsonl", "orders/2.csv"), 2)
        assert (people.name, people.missing, people.parsed, people.records) == ("people.csv", True, False, 0)
        assert found.connection.execute(f"SELECT count(*) FROM {people.relation}").fetchall() == [(0,)]
        assert found.warnings == ("more.csv: belongs to no demanded table and counts nowhere.",)


def test_a_demand_without_any_file_is_missing() -> None:
    with canonical({"README.md": b"# data"}, DEMAND, closed=True) as dataset:
        (table,) = dataset.tables
        assert (table.missing, table.records, [column.present for column in table.columns]) == (True, 0, [False] * 4)


def test_a_reading_as_gb18030_is_told() -> None:
    with canonical({"a.csv": "名\n数据\n".encode("gb18030")}) as dataset:
        assert dataset.warnings == ("a.csv: read as GB18030: byte 0 is not UTF-8.",)
        assert dataset.tables[0].columns[0].name == "名"


def test_the_connection_reaches_nothing_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with canonical({"a.csv": b"a\n1\n"}) as dataset:
        for statement in (
            f"SELECT * FROM read_csv('{secret}')", f"COPY (SELECT 1) TO '{tmp_path}/out.csv'", "SET threads = 1",
            "SET enable_external_access = true", "INSTALL httpfs", f"ATTACH '{tmp_path}/x.db'",
        ):  # fmt: skip
            with pytest.raises(duckdb.Error):
                dataset.connection.execute(statement).fetchall()


def test_progress_ends_at_one() -> None:
    seen: list[tuple[str, float]] = []
    with canonical({"a.csv": as_csv(dirty_rows(100, 1))}, progress=lambda stage, share: seen.append((stage, share))):
        pass
    assert seen[-1] == ("read", 1.0)
    assert seen == sorted(seen)


def test_memory_that_does_not_suffice_is_told() -> None:
    wide = ",".join(f"c{number}" for number in range(2_000)) + "\n" + ("word," * 1_999 + "word\n") * 2_100
    with pytest.raises(DatasetRefused) as refused, canonical({"a.csv": wide.encode()}, memory=1):
        pass
    assert refused.value.code == "memory_exceeded"


def test_what_goes_wrong_in_reading_is_raised_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: CsvReader, *_: Any) -> Iterator[Any]:
        yield from ()
        raise OSError("the disk is gone")

    monkeypatch.setattr(CsvReader, "batches", broken)
    with pytest.raises(OSError, match="the disk is gone"), canonical({"a.csv": b"a\n1\n"}, {"types": {"a": "text"}}):
        pass
