"""Random small dirty datasets, with something declared about them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

CELLS = [
    "", "NA", "none", "-", "null", " 1", "1", "2", "3", "1.5", "-7", "+3", "007", "1e3", ".5", "1_000", "9e999999999",
    "9223372036854775807", "9223372036854.775807", "-9223372036854.775808", "9223372036854.775808", "true", "FALSE",
    "2020-02-29", "2021-02-29", "2020/01/02", "2020-01-02 03:04", "2020-01-02T03:04:05.678+08:00", "x", " x ", "X",
    "e\u0301", "\u00e9", "\u3000", "a,b", 'say "hi"', "two\nlines", "it's", "猫",
]  # fmt: skip
NAMES = ["a", "b", "id", "y", "ref", "UUID", "名"]
TYPES = ["integer", "decimal", "boolean", "date", "timestamp", "text"]

# Whole columns lean to one kind, so that types are inferred and medians are worth finding.
LEANINGS = [
    st.sampled_from(CELLS),
    st.sampled_from(["1", "2", "3", "4", "5", "100", "NA", "x"]),
    st.integers(-50, 50).map(str),
    st.one_of(st.integers(-3, 3).map(str), st.sampled_from(["1000000", "-9223372036854.775808", "9223372036854.7758"])),
    st.decimals(-1000, 1000, places=3).map(str),
    st.sampled_from(["p", "q", "r", ""]),
    st.sampled_from(
        ["2020-01-01", "2020-01-01 01:00", "2020-01-01T02:00Z", "2020-01-01 04:30+01:00", "2020/01/02", "NA"]
    ),
    st.sampled_from(["2020-01-01", "2020-01-02", "2020/01/02", "2020-01-01T02:30"]),
    st.builds("2020-01-{:02} {:02}:{}".format, st.integers(1, 3), st.integers(0, 23), st.sampled_from(["00", "30"])),
]


@dataclass(frozen=True)
class Dirty:
    """Files and what is declared about them."""

    files: dict[str, bytes]
    declare: dict[str, Any]


def csv_field(text: str, quoted: bool) -> str:
    if quoted or any(character in text for character in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


@st.composite
def csv_table(draw: st.DrawFn, names: list[str]) -> bytes:
    """A CSV file of those columns: some cells quoted, some rows ragged, any line end, perhaps a mark in front."""
    cells = [draw(st.sampled_from(LEANINGS)) for _ in names]
    rows = draw(st.lists(st.tuples(*cells), max_size=24))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    lines = [",".join(csv_field(name, False) for name in names)]
    for row in rows:
        fields = [csv_field(cell, draw(st.booleans())) for cell in row]
        fault = draw(st.sampled_from(["none"] * 12 + ["short", "long", "blank"]))
        if fault == "long":
            fields.append("")
        elif fault == "short" and len(fields) > 1:
            fields.pop()
        elif fault == "blank":
            lines.append("")
        lines.append(",".join(fields))
    text = end.join(lines) + (end if draw(st.booleans()) else "")
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode()


@st.composite
def jsonl_table(draw: st.DrawFn, names: list[str]) -> bytes:
    """A JSONL file: values of every kind, names left out, lines that are no object."""
    scalar = st.one_of(
        st.sampled_from(CELLS),
        st.integers(-50, 50),
        st.none(),
        st.booleans(),
        st.sampled_from([{}, [], [1, "e\u0301"]]),
    )
    lines = []
    for _ in range(draw(st.integers(0, 16))):
        record = {name: draw(scalar) for name in names if draw(st.integers(0, 9))}
        line = json.dumps(record, ensure_ascii=draw(st.booleans()))
        broken = draw(st.sampled_from([""] * 12 + ["not json", "[1]", '{"a":NaN}', '{"a":1,"a":2}', " "]))
        lines.append(broken or line)
    return "\n".join(lines).encode()


@st.composite
def times_declared(
    draw: st.DrawFn, known: st.SearchStrategy[str], some: st.SearchStrategy[list[str]]
) -> dict[str, Any]:
    """A time column, and at times its form, its series, its grid and its period."""
    declare: dict[str, Any] = {"time": draw(known)}
    if draw(st.integers(0, 3)) == 0:
        declare["time_format"] = draw(st.sampled_from(["%Y", "%d", "%Y-%m-%d %H:%M"]))
    if draw(st.booleans()):
        declare["series"] = draw(some)
    if draw(st.integers(0, 2)):
        declare["grid"] = draw(st.sampled_from(["1h", "30 min", "1d", "999999999ms"]))
    if draw(st.integers(0, 2)):
        ends = st.sampled_from(["2020-01-01", "2020-01-01T01:00", "2020-03-05"])
        period = {"from": draw(ends), "to": "2024-01-01"} if draw(st.booleans()) else {"to": draw(ends)}
        declare["period"] = period
    return declare


@st.composite
def domains(draw: st.DrawFn, known: st.SearchStrategy[str], declare: dict[str, Any]) -> dict[str, Any]:
    """Domains of one or two columns; bounds only where a declared type has such values."""
    found: dict[str, Any] = {}
    for name in draw(st.lists(known, min_size=1, max_size=2, unique=True)):
        declared = declare.get("types", {}).get(name)
        kinds: list[Any] = [["p", "q", "1", "é"], {"values": ["x", "2"]}, {"pattern": "[a-z0-9]+"}]
        if declared in (None, "integer", "decimal"):
            kinds += [{"min": "-7", "max": "3.5"}, {"max": "100.000001"}, {"min": 2, "pattern": "[0-9]+"}]
        if declared in (None, "date", "timestamp"):
            kinds += [{"min": "2020-01-01", "max": "2020-01-01"}, {"max": "2020-01-02T03:04"}]
        found[name] = draw(st.sampled_from(kinds))
    return found


NUMBER_RULES = [
    "{a} <= {b}", "0 <= {a} <= 3.5", "{a} + {b} - 2 <= {b} + {a}", "abs({a} - {b}) <= 100",
    "-{a} - {b} < 5 or {a} > 100",
    "if {a} > 2 then not {b} > 2", "not ({a} = {b} and {b} != 3)", "{a} - abs({b} - 1) + 7 >= -3 and {a} < 1000000",
]  # fmt: skip
TEXT_RULES = [
    "{a} in ('p', 'q', 'it''s')",
    "{a} not in ('x')",
    "{a} != 'p' or {b} = 'q'",
    "if {a} = '1' then {b} = '1'",
]
TIME_RULES = ["time({a}) <= time({b})", "time({a}) < '2020-01-01T02:30'", "time({a}) != '2020-01-02'"]


@st.composite
def rules(draw: st.DrawFn, known: st.SearchStrategy[str], declare: dict[str, Any]) -> list[str]:
    """One or two rules over columns whose types fit them."""
    fitting = {"number": ("integer", "decimal"), "text": ("text", "boolean"), "time": ("date", "timestamp")}
    found: dict[str, str] = {}
    kinds: dict[str, str] = {} if "time" not in declare else {declare["time"]: "time"}
    for name, declared in declare.get("types", {}).items():
        kinds[name] = next(kind for kind, types in fitting.items() if declared in types)
    for name, domain in declare.get("domains", {}).items():
        if isinstance(domain, dict) and ("min" in domain or "max" in domain):
            kind = "time" if "2020" in str(domain) else "number"
            # A time with the bounds of a number: what a rule would take it for contradicts one of them.
            kinds[name] = kind if kinds.get(name, kind) == kind else "neither"
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(["number", "number", "text", "time"]))
        pair = [draw(known), draw(known)]
        if all(kinds.setdefault(name, kind) == kind for name in pair):
            templates = {"number": NUMBER_RULES, "text": TEXT_RULES, "time": TIME_RULES}[kind]
            found[draw(st.sampled_from(templates)).format(a=pair[0], b=pair[1])] = kind
    return list(found)


@st.composite
def splits(draw: st.DrawFn, known: st.SearchStrategy[str]) -> dict[str, Any]:
    """A split by the values of a column or by files."""
    if draw(st.integers(0, 3)) == 0:
        return {"train": ["u"], "test": ["t.csv"]}
    return {"column": draw(known), "train": ["p", "1", "x"], "test": ["q", "2"]}


@st.composite
def declarations(draw: st.DrawFn, names: list[str], other: str | None) -> dict[str, Any]:
    """Something declared about a table of those columns, at times about a column that is not there."""
    known = st.sampled_from([*names, "absent"] if draw(st.integers(0, 4)) == 0 else names)
    some = st.lists(known, min_size=1, max_size=2, unique=True)
    declare: dict[str, Any] = {}
    if draw(st.booleans()):
        declare["label"] = draw(known)
        if draw(st.booleans()):
            declare["classes"] = draw(st.lists(st.sampled_from(["p", "q", "x", "1"]), min_size=1, unique=True))
    if draw(st.booleans()):
        declare["key"] = draw(some)
    if draw(st.booleans()):
        declare["required"] = draw(some)
    if draw(st.booleans()):
        declare["types"] = {name: draw(st.sampled_from(TYPES)) for name in draw(some)}
    if draw(st.integers(0, 3)) == 0:
        declare["missing"] = draw(st.sampled_from([["", "x"], ["?"], {names[0]: ["1", ""]}]))
    if draw(st.integers(0, 2)) == 0:
        declare["records"] = draw(st.integers(1, 30))
    if draw(st.booleans()):
        declare |= draw(times_declared(known, some))
    if draw(st.booleans()):
        declare["domains"] = draw(domains(known, declare))
    if draw(st.booleans()):
        declare["rules"] = draw(rules(known, declare))
        if not declare["rules"]:
            del declare["rules"]
    if draw(st.integers(0, 2)) == 0:
        declare["text"] = draw(some)
    if draw(st.booleans()) and "classes" in declare:
        declare["min_per_class"] = draw(st.integers(1, 6))
    if draw(st.booleans()):
        declare["split"] = draw(splits(known))
    if other is not None and draw(st.integers(0, 3)):
        fields = draw(some)
        key = draw(st.sampled_from([["ref"], ["ref", "a"], ["gone"]]))[: len(fields)]
        declare["foreign_keys"] = [{"fields": fields[: len(key)], "to": other, "key": key}]
    return declare


@st.composite
def datasets(draw: st.DrawFn, *, json_lines: bool = False) -> Dirty:
    """One or two tables of CSV, or one of JSONL."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    if json_lines:
        return Dirty({"t.jsonl": draw(jsonl_table(names))}, draw(declarations(names, None)))
    files = {"t.csv": draw(csv_table(names))}
    if not draw(st.booleans()):
        return Dirty(files, draw(declarations(names, None)))
    files["u.csv"] = draw(csv_table(["ref", "a", "u"]))
    other = draw(st.sampled_from(["u.csv", "u", "nowhere.csv"]))
    return Dirty(files, {"tables": {"t.csv": draw(declarations(names, other))}})


@st.composite
def demands(draw: st.DrawFn) -> Dirty:
    """A challenge's demand and an answer to it that may lack columns, have others, or lack a table."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=5, unique=True))
    declare = draw(declarations(names, None))
    declare["types"] = {name: draw(st.sampled_from(TYPES)) for name in names}
    if "domains" in declare:
        declare["domains"] = draw(domains(st.sampled_from(names), declare))
    if "rules" in declare:
        declare["rules"] = draw(rules(st.sampled_from(names), declare))
        if not declare["rules"]:
            del declare["rules"]
    handed = [name for name in names if draw(st.integers(0, 5))]
    files = {"t.csv": draw(csv_table([*handed, "extra"]))}
    if draw(st.booleans()):
        return Dirty(files, declare)
    if draw(st.integers(0, 3)):
        files["u.csv"] = draw(csv_table(["ref", "a"]))
    if draw(st.integers(0, 9)) == 0:
        files = {"other.csv": b"p\n1\n"}
    fields = [draw(st.sampled_from(names))]
    reference = {"fields": fields, "to": "u.csv", "key": [draw(st.sampled_from(["ref", "gone"]))]}
    tables = {"t.csv": {**declare, "foreign_keys": [reference]}, "u.csv": {"types": {"a": "integer"}}}
    return Dirty(files, {"tables": tables})
