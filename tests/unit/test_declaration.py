"""The declaration is read as it was written, refuses what it does not know, and says which table a file is of."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from jiebang.constraints import Domain, Period, Split
from jiebang.declaration import DEFAULT_MISSING, Declaration, ForeignKey, TableDeclaration, without_extensions
from jiebang.errors import DeclarationError
from jiebang.rules import Rule


def write(folder: Path, text: str, name: str = "declare.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_is_read() -> None:
    table = Declaration.parse(
        {
            "label": "y",
            "key": ["a", "b"],
            "required": ["a"],
            "types": {"a": "integer"},
            "missing": ["?"],
            "encoding": "gb18030",
            "records": 10,
            "time": "t",
            "time_format": "%d.%m.%Y",
            "series": ["s"],
            "grid": "1h",
            "text": ["note"],
            "foreign_keys": [{"fields": ["f"], "to": "b.csv", "key": ["k"]}],
            "classes": ["x", 1],
            "domains": {"d": ["u", 2], "e": {"min": 0.5, "max": 10, "pattern": "[0-9.]+"}},
            "period": {"from": datetime.date(2024, 1, 1), "to": "2024-12-31"},
            "split": {"column": "part", "train": "train", "test": ["test", "dev"]},
            "min_per_class": 5,
            "rules": ["a < e", {"name": "order", "rule": "time(begin) <= time(end)"}],
        }
    ).default
    assert table == TableDeclaration(
        label="y",
        key=("a", "b"),
        required=("a",),
        types={"a": "integer"},
        missing=("?",),
        encoding="gb18030",
        records=10,
        time="t",
        time_format="%d.%m.%Y",
        series=("s",),
        grid="1h",
        text=("note",),
        foreign_keys=(ForeignKey(("f",), "b.csv", ("k",)),),
        classes=("x", "1"),
        domains={"d": Domain(values=("u", "2")), "e": Domain(pattern="[0-9.]+", least="0.5", greatest="10")},
        period=Period("2024-01-01", "2024-12-31"),
        split=Split(("train",), ("test", "dev"), "part"),
        min_per_class=5,
        rules=(Rule("a < e"), Rule("time(begin) <= time(end)", "order")),
    )
    named = ("a", "b", "y", "t", "s", "note", "f", "d", "e", "part", "begin", "end")
    assert table.named_columns() == named
    assert [table.type_of(name) for name in ("a", "d", "e", "begin")] == ["integer", None, "decimal", "timestamp"]
    assert table.instants() == ("t", "begin", "end")
    assert Declaration.parse(Declaration(default=table).as_dict()).default == table


def test_what_is_written_comes_back_as_json() -> None:
    written = {"label": "y", "missing": {"a": ["?", ""]}, "tables": {"x.csv": {"key": ["k"], "missing": []}}}
    declaration = Declaration.parse(written)
    assert declaration.as_dict() == written
    assert Declaration.parse(declaration.as_dict()).digest == declaration.digest
    assert Declaration.parse({"label": "z"}).digest != declaration.digest


@pytest.mark.parametrize(
    ("wrong", "path", "says"),
    [
        ({"lable": "y"}, ["lable"], "Did you mean `label`?"),
        ({"tables": {"a.csv": {"foreign_key": []}}}, ["tables", "a.csv", "foreign_key"], "`foreign_keys`"),
        ({"tables": {"a.csv": {"tables": {}}}}, ["tables", "a.csv", "tables"], "Known keys"),
        ({"key": "a,b"}, ["key"], "Write it as [a, b]"),
        ({"key": []}, ["key"], "Leave the key out"),
        ({"key": ["a", "a"]}, ["key", 1], "twice"),
        ({"types": {"a": "int"}}, ["types", "a"], "integer, decimal"),
        ({"types": ["a"]}, ["types"], "mapping"),
        ({"missing": ["NA", None]}, ["missing", 1], "in quotes"),
        ({"classes": [1.5]}, ["classes", 0], "in quotes"),
        ({"label": True}, ["label"], "truth value"),
        ({"encoding": "utf-99"}, ["encoding"], "utf-8"),
        ({"encoding": "base64"}, ["encoding"], "utf-8"),
        ({"records": 0}, ["records"], "above 0"),
        ({"records": "many"}, ["records"], "above 0"),
        ({"grid": "hourly"}, ["grid"], "1h"),
        ({"grid": "1month"}, ["grid"], "ms, s, sec, min, h, d, w"),
        ({"grid": "900000000w"}, ["grid"], "1h"),
        ({"domains": {"a": []}}, ["domains", "a"], "1 to 10,000"),
        ({"domains": {"a": ["x", " x"]}}, ["domains", "a"], "differ"),
        ({"domains": {"a": {}}}, ["domains", "a"], "allows everything"),
        ({"domains": {"a": {"least": 1}}}, ["domains", "a", "least"], "values, pattern, min, max"),
        ({"domains": {"a": {"pattern": "(?=x)"}}}, ["domains", "a", "pattern"], "RE2"),
        ({"domains": {"a": {"pattern": "a" * 1001}}}, ["domains", "a", "pattern"], "1000"),
        ({"domains": {"a": {"min": "low"}}}, ["domains", "a", "min"], "a number or a time, not `low`"),
        ({"domains": {"a": {"min": 1e-9}}}, ["domains", "a", "min"], "six places"),
        ({"domains": {"a": {"min": 2, "max": 1}}}, ["domains", "a"], "allows nothing"),
        ({"domains": {"a": {"min": 2, "max": "2024-01-01"}}}, ["domains", "a", "max"], "mixes numbers and times"),
        ({"types": {"a": "text"}, "domains": {"a": {"min": 2}}}, ["domains", "a"], "declared text"),
        ({"types": {"a": "integer"}, "domains": {"a": {"max": "2024-01-01"}}}, ["domains", "a"], "date or timestamp"),
        ({"period": {}}, ["period"], "`from`, `to` or both"),
        ({"period": {"from": "January"}}, ["period", "from"], "YYYY-MM-DD"),
        ({"period": {"from": "2024-02-01", "to": "2024-01-01"}}, ["period"], "is after `to`"),
        ({"split": {"train": ["a"]}}, ["split"], "lacks `test`"),
        ({"split": {"train": ["a"], "test": ["a"]}}, ["split", "test"], "`a` is for training and for testing"),
        ({"split": {"train": ["a"], "test": []}}, ["split", "test"], "empty list"),
        ({"min_per_class": 0}, ["min_per_class"], "above 0"),
        ({"min_per_class": 3}, ["min_per_class"], "needs `label`"),
        ({"min_per_class": 3, "label": "y"}, ["min_per_class"], "needs `classes`"),
        ({"rules": "a < b"}, ["rules"], "must be a list"),
        ({"rules": [f"a < {n}" for n in range(201)]}, ["rules"], "1 to 200 rules"),
        ({"as_of": "2026-02-30"}, ["as_of"], "YYYY-MM-DD"),
        ({"foreign_keys": [{"fields": ["a"], "to": "b.csv"}]}, ["foreign_keys", 0], "lacks `key`"),
        ({"foreign_keys": [{"fields": ["a", "b"], "to": "b.csv", "key": ["k"]}]}, ["foreign_keys", 0], "each side"),
        ({"foreign_keys": [{"fields": ["a"], "to": "b", "keys": ["k"]}]}, ["foreign_keys", 0, "keys"], "`key`"),
    ],
)
def test_a_wrong_declaration_names_its_place_and_what_to_do(wrong: dict[str, Any], path: list[Any], says: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Declaration.parse(wrong)
    assert caught.value.fields["path"] == path
    assert says in f"{caught.value.title} {caught.value.detail}"


def test_yaml_scalars_keep_the_text_that_was_written(tmp_path: Path) -> None:
    path = write(
        tmp_path, "classes: [007, no, 1.50, 2020-01-01, 1e3]\nmissing: ['null', NO, '']\nlabel:\nrecords: 12\n"
    )
    table = Declaration.load(path).default
    assert table.classes == ("007", "no", "1.50", "2020-01-01", "1e3")
    assert table.missing == ("null", "NO", "")
    assert table.label is None
    assert table.records == 12


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        ("label: y\ntables:\n  a.csv:\n    kye: [a]\n", "d.yaml", 4),
        ("label: y\nlabel: z\n", "d.yaml", 2),
        ("label: y\nkey: [a\n", "d.yaml", 3),
        ('{"label": "y",\n "keys": ["a"]}', "d.json", 2),
        ('{"label": "y",\n}', "d.json", 2),
    ],
)
def test_an_error_in_a_file_names_the_line(tmp_path: Path, text: str, name: str, line: int) -> None:
    with pytest.raises(DeclarationError) as caught:
        Declaration.load(write(tmp_path, text, name))
    assert caught.value.fields["line"] == line
    assert f"{name}, line {line}" in caught.value.title


@pytest.mark.parametrize("text", ["- a\n", "", "a: &x [*x]\n", "a: " + "[" * 400 + "]" * 400])
def test_a_file_that_is_no_plain_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DeclarationError):
        Declaration.load(write(tmp_path, text))


def test_anchors_cannot_make_a_small_file_huge(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(DeclarationError, match="too many values"):
        Declaration.load(write(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("orders.csv", "orders.csv"),
        ("orders.parquet", "orders.csv"),
        ("orders.csv.gz", "orders.csv"),
        ("orders/part-0.parquet", "orders.csv"),
        ("orders/2024/part-0.csv.zst", "orders.csv"),
        ("old/orders.csv", None),
        ("orders2.csv", None),
        ("lines.jsonl", "lines"),
        ("data/lines.csv", None),
    ],
)
def test_a_file_belongs_to_the_table_of_its_name_or_folder(path: str, table: str | None) -> None:
    declaration = Declaration.parse({"tables": {"orders.csv": {"key": ["id"]}, "lines": {"label": "l"}}})
    assert declaration.table_of(path) == table


def test_a_table_takes_the_default_for_what_it_does_not_declare() -> None:
    declaration = Declaration.parse(
        {"label": "y", "missing": ["?"], "tables": {"a.csv": {"label": "z"}, "b.csv": {"missing": []}}}
    )
    assert declaration.for_table("a.csv").label == "z"
    assert declaration.for_table("a.csv").missing == ("?",)
    assert declaration.for_table("b.csv").missing_for("x") == ()
    assert declaration.for_table("part-1.csv", ["a.parquet"]).label == "z"
    assert declaration.for_table("c.csv").label == "y"


def test_markers_by_column_leave_the_other_columns_their_list() -> None:
    table = Declaration.parse({"missing": {"strand": ["", "?"]}}).default
    assert table.missing_for("strand") == ("", "?")
    assert table.missing_for("country") == DEFAULT_MISSING


def test_a_demand_lists_its_columns_and_those_that_are_looked_up_in_it() -> None:
    demand = Declaration.parse(
        {
            "tables": {
                "a.csv": {"types": {"x": "text"}, "foreign_keys": [{"fields": ["f"], "to": "b.csv", "key": ["k"]}]},
                "b.csv": {"required": ["name"]},
            }
        },
        closed=True,
    )
    assert demand.demanded_columns("a.csv") == ("x", "f")
    assert demand.demanded_columns("b.csv") == ("name", "k")


def test_a_demand_without_columns_or_with_a_loose_reference_is_refused() -> None:
    with pytest.raises(DeclarationError, match="must name the columns"):
        Declaration.parse({"records": 5}, closed=True)
    loose = {"tables": {"a.csv": {"foreign_keys": [{"fields": ["f"], "to": "b.csv", "key": ["k"]}]}}}
    with pytest.raises(DeclarationError, match="is not among `tables`"):
        Declaration.parse(loose, closed=True)
    assert Declaration.parse(loose).default == TableDeclaration()


def test_a_demand_for_more_columns_than_any_file_may_have_is_refused() -> None:
    def demand(columns: int) -> dict[str, Any]:
        return {"types": {f"c{number}": "integer" for number in range(columns)}}

    assert len(Declaration.parse(demand(2_000), closed=True).demanded_columns(None)) == 2_000
    with pytest.raises(DeclarationError, match="names 2,001 columns") as refused:
        Declaration.parse(demand(2_001), closed=True)
    assert refused.value.code == "demand_too_wide"
    halves = {"tables": {"a.csv": demand(1_500), "b.csv": demand(1_500)}}
    assert Declaration.parse(halves, closed=True).tables.keys() == {"a.csv", "b.csv"}


@pytest.mark.parametrize(
    ("path", "stem"),
    [("a.csv", "a"), ("a.csv.gz", "a"), ("a.b.csv", "a.b"), (".csv", ".csv"), ("d/.csv", "d/.csv"), ("A.CSV", "A")],
)
def test_extensions_come_off_once(path: str, stem: str) -> None:
    assert without_extensions(path) == stem
