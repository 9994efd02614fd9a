"""The language of rules: what can be said, what is refused and why, and the packs that come with it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jiebang
from jiebang.declaration import Declaration
from jiebang.errors import DeclarationError
from jiebang.rules import Kind, RuleError, kinds_of, packs
from jiebang.rules.expression import columns_of, parse_rule, renamed
from tests.unit.every_measure import EVERY_MEASURE
from tests.unit.measures.canonical_tables import measure_files


@pytest.mark.parametrize(
    ("rule", "columns"),
    [
        ("low <= open <= high", ("low", "open", "high")),
        ("if a > 1 and b = 2 then not (c < 3 or d >= 4)", ("a", "b", "c", "d")),
        ("abs(`part one` + 2 - b) <= 0.01", ("part one", "b")),
        ("status not in ('open', 'it''s')", ("status",)),
        ("time(到达) >= time(出发)", ("到达", "出发")),
        ("time < abs", ("time", "abs")),
    ],
)
def test_a_rule_is_read_with_its_columns(rule: str, columns: tuple[str, ...]) -> None:
    assert columns_of(parse_rule(rule)) == columns


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("a <", "it ends where a column, a number or a text should follow"),
        ("a + b", "it ends where a comparison should follow"),
        ("a < 1 b", "the end should stand at character 7, where 'b' is"),
        ("a < 1; DROP TABLE t", "what is '; DROP TABLE t' at character 6?"),
        ("a * 2 < 1", "what is '* 2 < 1' at character 3?"),
        ("if a > 1 b < 2", "`then` should stand at character 10, where 'b' is"),
        ("a in (1, 2)", "`in` takes texts between quotes"),
        ("read_csv('/etc/passwd') = 'x'", "a comparison should stand at character 9, where '(' is"),
        ("a < 0.0000001", "0.0000001 has more than twelve digits or six places"),
        ("+".join("abcdefghij") + " < 1", "a sum has more than 9 terms"),
        ("(" * 30 + "a < 1" + ")" * 30, "it is nested more than 20 deep"),
        ("not " * 30 + "a < 1", "it is nested more than 20 deep"),
        ("a < 1 or " * 200 + "a < 1", "it has 1805 characters, and 1000 are allowed"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_place(rule: str, said: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rule(rule)
    assert said in str(caught.value)


@given(st.text(st.sampled_from("ab<>=!()'\"`+-, 0.1andorifthen"), max_size=40))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    with contextlib.suppress(RuleError):
        assert len(columns_of(parse_rule(text))) <= len(text)


def test_a_rule_is_told_about_other_columns() -> None:
    assert renamed("low <= open and open != 'open'", {"low": "最低", "open": "the open"}) == (
        "最低 <= `the open` and `the open` != 'open'"
    )
    assert columns_of(parse_rule(renamed("a < b", {"a": "and", "b": "x"}))) == ("and", "x")


@pytest.mark.parametrize(
    ("rule", "types", "kind"),
    [
        ("a <= b", {}, Kind.NUMBER),
        ("a = 'x'", {}, Kind.TEXT),
        ("a >= '2024-01-01'", {}, Kind.TIME),
        ("a = '2024-01-01'", {}, Kind.TEXT),
        ("a = '2024-01-01'", {"a": "date"}, Kind.TIME),
        ("a = b", {"b": "text"}, Kind.TEXT),
        ("time(a) <= b", {}, Kind.TIME),
    ],
)
def test_what_a_column_holds_follows_from_types_and_rules(rule: str, types: dict[str, str], kind: Kind) -> None:
    assert kinds_of([parse_rule(rule)], types, None)["a"] is kind


@pytest.mark.parametrize(
    ("rule", "types", "said"),
    [
        ("a < 'x'", {}, "texts have no order"),
        ("a < 5", {"a": "text"}, "it compares a number with a text"),
        ("a + b < 5", {"a": "date"}, "`a` holds times, which cannot be added"),
        ("a < 'soon'", {"a": "timestamp"}, "'soon' is compared with a time and is none"),
        ("a = '5'", {"a": "integer"}, "write numbers without quotes"),
        ("a in ('5')", {"a": "integer"}, "`in` is for texts"),
        ("time(a) < b", {"a": "integer"}, "takes it for a time"),
        ("1 < 2", {}, "names no column"),
    ],
)
def test_rules_that_do_not_fit_the_columns_are_refused(rule: str, types: dict[str, str], said: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Declaration.parse({"types": types, "rules": [rule]})
    assert said in caught.value.title
    assert caught.value.fields["path"][0] == "rules"


def test_a_pack_is_written_out_for_the_columns_that_are_named() -> None:
    pack = {"pack": "finance", "columns": {"low": "最低", "high": "最高", "trade_date": "t", "settlement_date": "s"}}
    declaration = Declaration.parse({"rules": [pack, "最低 < 1000"]})
    assert [rule.text for rule in declaration.default.rules] == [
        "最低 <= 最高",
        "最低 > 0",
        "time(s) >= time(t)",
        "最低 < 1000",
    ]
    assert declaration.default.rules[0].name == "finance: the low is not above the high"
    assert Declaration.parse(declaration.as_dict()) == declaration
    assert declaration.default.type_of("s") == "timestamp"
    assert declaration.default.named_columns() == ("最低", "最高", "s", "t")


@pytest.mark.parametrize(
    ("entry", "path", "said"),
    [
        ({"pack": "banking", "columns": ["low"]}, ["rules", 0, "pack"], "energy, finance, healthcare, transportation"),
        ({"pack": "finance", "columns": ["lowest"]}, ["rules", 0, "columns", "lowest"], "Its columns: open, high"),
        ({"pack": "finance", "columns": ["open"]}, ["rules", 0, "columns"], "theirs: yours"),
        ({"rule": None}, ["rules", 0], "a text, {name, rule} or {pack, columns}"),
        ({"rules": "a < b"}, ["rules", 0, "rules"], "Known keys: name, rule"),
        ("a ~ b", ["rules", 0], "Write comparisons"),
        ("'a' = 'a'", ["rules", 0], "Write comparisons"),
    ],
)
def test_a_wrong_rule_of_a_declaration_is_named(entry: Any, path: list[str | int], said: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Declaration.parse({"rules": [entry]})
    assert caught.value.fields["path"] == path
    assert said in caught.value.detail


def test_the_four_sectors_have_rules_that_can_be_read_over_columns_that_are_explained() -> None:
    assert list(packs()) == ["energy", "finance", "healthcare", "transportation"]
    for pack in packs().values():
        named = {column for rule in pack.rules for column in columns_of(parse_rule(rule.text))}
        assert named == set(pack.columns)
        assert len({rule.text for rule in pack.rules}) == len(pack.rules) >= 9
        assert kinds_of([parse_rule(rule.text) for rule in pack.rules], {}, None)


PACKED: dict[str, tuple[str, bytes, tuple[int, int]]] = {
    # The second record of each breaks one rule, the third is not asked where a cell is missing.
    "energy": ("ghi,dhi", b"800,100\n1600,100\nNA,1\n", (6, 7)),
    "finance": ("open,high,low,close", b"2,3,1,2\n4,3,1,2\n2,3,1,NA\n", (10, 11)),
    "healthcare": ("systolic,diastolic", b"120,80\n80,120\n120,NA\n", (6, 7)),
    "transportation": (
        "departure,arrival",
        b"2024-01-01 10:00,2024-01-01T11:00\n2024-01-02,2024-01-01\n2024-01-01,\n",
        (1, 2),
    ),
}


@pytest.mark.parametrize("name", PACKED)
def test_a_pack_finds_what_cannot_be(name: str, tmp_path: Path) -> None:
    header, rows, right = PACKED[name]
    (tmp_path / "t.csv").write_bytes(header.encode() + b"\n" + rows)
    declare = {"rules": [{"pack": name, "columns": header.split(",")}]}
    result = jiebang.score(tmp_path, declare=declare, rubric=EVERY_MEASURE)["RUL-1"]
    assert (result.num, result.den) == right
    assert {pointer.row for pointer in result.evidence} == {2}
    assert all(f": {name}: " in str(pointer.note) for pointer in result.evidence)


def test_a_number_too_large_for_a_sum_breaks_the_rule_and_nothing_else() -> None:
    rows = b"a,b\n1,2\n9000000000000,9000000000000\n-9000000000000,9000000000000\nx,1\n"
    declare = {"types": {"a": "decimal", "b": "decimal"}, "rules": ["a + b < 100", "a < b"]}
    result = measure_files({"t.csv": rows}, declare)["t.csv"]["RUL-1"]
    assert (result.num, result.den) == (1 + 2, 4 + 4)
    assert result.evidence[0].note == "broken 3 times: a + b < 100"
    assert [pointer.row for pointer in result.evidence] == [2, 3, 4, 2, 4]


def test_no_sum_passes_int64_wherever_the_engine_computes_it(tmp_path: Path) -> None:
    rows = [f"{'9223372036854' if n % 3 else n},{'-9223372036854' if n % 5 else n}" for n in range(30_000)]
    (tmp_path / "t.csv").write_text("a,b\n" + "\n".join(rows) + "\n")
    result = jiebang.score(tmp_path, declare={"rules": ["a - b < 1"]}, rubric=EVERY_MEASURE)["RUL-1"]
    assert (result.num, result.den) == (2_000, 30_000)
    assert len(result.evidence) == 20
