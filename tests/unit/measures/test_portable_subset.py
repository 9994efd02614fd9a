"""Everything that measures ask is in the portable subset of SQL, so another engine would find the same integers."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from jiebang.declaration import Declaration
from jiebang.measures import FOUND_MEASURES, MEASURES, Subject, run_measures
from jiebang.measures.definition import Row
from jiebang.measures.engines.duckdb import DuckDBEngine
from tests.cases import case_names, load_case
from tests.naive import read_dataset
from tests.unit.measures.canonical_tables import build_table

ALLOWED = (
    # the frame of a query
    exp.Select, exp.From, exp.Table, exp.TableAlias, exp.Subquery, exp.With, exp.CTE, exp.Union, exp.Where, exp.Group,
    exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Distinct, exp.Alias, exp.Column, exp.Identifier, exp.Star,
    # what counts
    exp.Count, exp.Filter, exp.Min, exp.Max, exp.Sum,
    # comparisons
    exp.And, exp.Or, exp.Not, exp.Is, exp.Null, exp.EQ, exp.NEQ, exp.LT, exp.GT, exp.LTE, exp.GTE, exp.In, exp.Paren,
    # arithmetic of int64
    exp.Literal, exp.Sub, exp.Neg, exp.Abs, exp.BitwiseRightShift, exp.Mod,
    # the record before, and the least of a series
    exp.Window, exp.Lag,
)  # fmt: skip


def outside_the_subset(sql: str) -> str | None:
    """What in a query is not in the portable subset, None if nothing is."""
    for node in sqlglot.parse_one(sql, dialect="duckdb").walk():
        if not isinstance(node, ALLOWED):
            return f"{type(node).__name__}: {node.sql()}"
        if isinstance(node, exp.Literal) and not node.is_string and not node.name.isdigit():
            return f"a fraction: {node.sql()}"
        # The order of a window is total, so that its answer is the same on any number of threads.
        if isinstance(node, exp.Window) and not isinstance(node.this, exp.Lag | exp.Min):
            return f"a window: {node.sql()}"
        if isinstance(node, exp.Lag) and not isinstance(node.parent, exp.Window):
            return f"a lag without a window: {node.sql()}"
        # A remainder is of a distance that is not negative, since engines differ on the sign of others.
        if isinstance(node, exp.Mod) and node.sql().split(" % ")[0] != "(t - least)":
            return f"a remainder: {node.sql()}"
        # Sums are of counts of records alone, which cannot pass int64 together.
        if isinstance(node, exp.Sum) and node.this.name != "n":
            return f"a sum of values: {node.sql()}"
    return None


class Listening:
    """An engine that keeps what it is asked."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._engine = DuckDBEngine(connection)
        self.asked: list[str] = []

    def aggregates(self, relation: str, expressions: list[str]) -> list[int | None]:
        self.asked += [f"SELECT {expression} FROM {relation}" for expression in expressions]
        return self._engine.aggregates(relation, expressions)

    def rows(self, sql: str) -> list[Row]:
        self.asked.append(sql)
        return self._engine.rows(sql)


def everything_asked(files: dict[str, bytes], declare: dict[str, Any], *, closed: bool = False) -> list[str]:
    connection = duckdb.connect()
    naive = read_dataset(files, declare, closed=closed)
    tables = tuple(build_table(connection, table, number) for number, table in enumerate(naive))
    declaration = Declaration.parse(declare, closed=closed)
    declared = [declaration.for_table(table.name, table.files) for table in tables]
    any_reference = any(own.foreign_keys for own in declared)
    engine = Listening(connection)
    run_measures(
        [measure for measure in MEASURES if measure not in FOUND_MEASURES],
        [
            Subject(table, own, closed, tables, any_reference, declaration.as_of)
            for table, own in zip(tables, declared, strict=True)
        ],
        engine,
    )
    return engine.asked


DIRTY = {
    "a.csv": b"id,k,n,l,ref\n1,a,1,x,p\n1,a,2,x,q\n2,,3,y,\n"
    b"3,b,9000000000000,y,z\n4,b,-9000000000000,odd,p\n5,c,oops,x,p\n",
    "b.csv": b"code\np\nq\nq\n",
}
DECLARED: dict[str, Any] = {
    "tables": {
        "a.csv": {
            "key": ["k", "n"],
            "label": "l",
            "classes": ["x", "y", "it's"],
            "types": {"id": "integer", "n": "integer"},
            "records": 100,
            "foreign_keys": [{"fields": ["ref"], "to": "b.csv", "key": ["code"]}],
        },
        "b.csv": {"key": ["code"]},
    }
}


@pytest.mark.parametrize("name", [name for name in case_names() if name not in {"flights", "weather"}])
def test_the_measures_of_every_case_stay_in_the_subset(name: str) -> None:
    case = load_case(name)
    asked = everything_asked(case.files, case.declare)
    assert [outside for sql in asked if (outside := outside_the_subset(sql))] == []


@pytest.mark.parametrize("closed", [False, True])
def test_the_measures_of_a_dirty_dataset_stay_in_the_subset(closed: bool) -> None:
    asked = everything_asked(DIRTY, DECLARED, closed=closed)
    assert [outside for sql in asked if (outside := outside_the_subset(sql))] == []
    # The dataset is dirty enough to bring every kind of question up.
    for part in ("abs(", ">>", "HAVING count(*) > 1", "max(known)", " = 0 ORDER BY", "it''s", "LIMIT 1001", " < 0)"):
        assert any(part in sql for sql in asked), part


TIMED = b"s,t\na,2020-01-01\na,2020-01-04\na,2020-01-02\nb,2020-01-01 01:00\n,2020-01-03\na,\na,1999-01-01\n"


def test_the_measures_of_times_stay_in_the_subset() -> None:
    declare = {"time": "t", "series": ["s"], "grid": "1d", "period": {"from": "2020-01-01", "to": "2020-01-03"}}
    asked = everything_asked({"t.csv": TIMED}, {**declare, "as_of": "2020-01-02"})
    assert [outside for sql in asked if (outside := outside_the_subset(sql))] == []
    for part in ("lag(", "t <= before", "(t - least) %", "t - before >", "IS NULL ORDER BY"):
        assert any(part in sql for sql in asked), part


PARTED = b"id,x,y,part\n1,a,p,train\n2,a,p,test\n3,b,p,test\n4,a,q,dev\n5,9,q,train\n"


def test_the_measures_of_parts_and_domains_stay_in_the_subset() -> None:
    declare = {
        "label": "y",
        "classes": ["p", "it's"],
        "min_per_class": 3,
        "text": ["x"],
        "split": {"column": "part", "train": ["train"], "test": ["test", "dev"]},
        "domains": {"x": ["a", "c"], "id": {"min": 2, "max": 4}},
        "rules": [
            "if id > 1 then y != 'it''s'",
            "abs(id - 3) + 1.5 >= -id",
            "id - 1 < 3",
            "y not in ('q', 'r') or y = x",
            "time(part) < '2024-01-01'",
        ],
    }
    asked = everything_asked({"t.csv": PARTED}, declare)
    assert [outside for sql in asked if (outside := outside_the_subset(sql))] == []
    for part in (
        "d1 = 0",
        "x0 < 2000000 OR x0 > 4000000",
        "min(test) < max(test)",
        "least < greatest",
        "GROUP BY l1, e1",
        "abs(y0 - 3000000)",
        "NOT (x0 IS NOT NULL AND y0 IS NOT NULL",
    ):
        assert any(part in sql for sql in asked), part


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST(s1 AS BIGINT) FROM t",
        "SELECT s1::BIGINT FROM t",
        "SELECT trim(s1) FROM t",
        "SELECT count(*) FROM t WHERE regexp_matches(s1, 'a')",
        "SELECT count(*) FROM t WHERE s1 LIKE 'a%'",
        "SELECT lower(s1) FROM t",
        "SELECT length(s1) FROM t",
        "SELECT hash(s1) FROM t",
        "SELECT x1 * 2 FROM t",
        "SELECT x1 / 2 FROM t",
        "SELECT x1 // 2 FROM t",
        "SELECT count(*) FROM t WHERE x1 > 0.5",
        "SELECT sum(x1) FROM t",
        "SELECT avg(x1) FROM t",
        "SELECT median(x1) FROM t",
        "SELECT quantile_disc(x1, 0.5) FROM t",
        "SELECT approx_count_distinct(s1) FROM t",
        "SELECT x1 % 2 FROM t",
        "SELECT sum(n) OVER (ORDER BY r) FROM t",
        "SELECT row_number() OVER (ORDER BY r) FROM t",
    ],
)
def test_what_engines_read_differently_is_refused(sql: str) -> None:
    assert outside_the_subset(sql) is not None
