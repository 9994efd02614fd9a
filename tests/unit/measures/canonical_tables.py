"""Canonical tables built from naive ones, so that the measures are judged apart from how files are read."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

from jiebang.dataset.tables import Column, ColumnType, Table
from jiebang.declaration import Declaration
from jiebang.measures import MEASURES, Subject, run_measures
from jiebang.measures.engines.duckdb import DuckDBEngine
from jiebang.result import MeasureResult
from tests.naive import NaiveTable, read_dataset
from tests.naive.cells import damaged_characters, millionths
from tests.naive.domains import declared_types, is_listed, is_range_of_times
from tests.naive.measures import MEASURES as NAIVE
from tests.naive.rules import kinds_in

COUNTED = tuple(measure for measure in MEASURES if measure.id in NAIVE)
"""The measures that are written a second time in `tests.naive.measures`."""


def is_time_of_a_rule(name: str, declare: dict[str, Any]) -> bool:
    kinds = [kinds_in(rule, declared_types(declare), declare.get("time")) for rule in declare.get("rules", [])]
    return any(found.get(name) == "time" for found in kinds)


NUMERIC = ("integer", "decimal")


def build_table(
    connection: duckdb.DuckDBPyConnection, naive: NaiveTable, number: int, *, weak_hash: bool = False
) -> Table:
    """Load a naive table into DuckDB in the canonical form; a weak hash makes unequal records collide."""
    data: dict[str, Any] = {
        "f": pa.array([file for file, _ in naive.rows], pa.int32()),
        "r": pa.array([row for _, row in naive.rows], pa.int64()),
    }
    columns = []
    for index, (name, cells) in enumerate(naive.columns.items()):
        kind = naive.types[name]
        present = name not in naive.absent
        has_k, has_x = present and kind != "text", present and kind in NUMERIC
        out_of_range = 0
        if present:
            data[f"s{index}"] = pa.array(cells, pa.string())
            verdicts = naive.conforming(name)
            if has_k:
                data[f"k{index}"] = pa.array([None if v is None else int(v) for v in verdicts], pa.int8())
            if has_x:
                numbers = [millionths(c) if v and c is not None else None for c, v in zip(cells, verdicts, strict=True)]
                data[f"x{index}"] = pa.array(numbers, pa.int64())
                out_of_range = sum(bool(v) and n is None for v, n in zip(verdicts, numbers, strict=True))
        domain = naive.domains().get(name, {})
        timed = name == naive.declare.get("time") or is_range_of_times(domain) or is_time_of_a_rule(name, naive.declare)
        has_t = present and timed
        if has_t:
            data[f"t{index}"] = pa.array(naive.instants(name), pa.int64())
        has_d = present and ("values" in domain or "pattern" in domain)
        if has_d:
            within = [None if cell is None else int(is_listed(cell, domain)) for cell in cells]
            data[f"d{index}"] = pa.array(within, pa.int8())
        has_l = present and name in naive.declare.get("text", [])
        if has_l:
            data[f"l{index}"] = pa.array([None if cell is None else len(cell) for cell in cells], pa.int64())
            damage = [None if cell is None else damaged_characters(cell) for cell in cells]
            data[f"e{index}"] = pa.array(damage, pa.int64())
        has_y = has_x and bool(naive.declare.get("rules"))
        if has_y:
            small = [n if n is not None and abs(n) <= 10**18 else None for n in numbers]
            data[f"y{index}"] = pa.array(small, pa.int64())
        declared = name in naive.declare.get("types", {})
        columns.append(
            Column(
                name,
                index,
                ColumnType(kind),
                declared,
                present,
                has_k,
                has_x,
                out_of_range,
                has_t=has_t,
                has_d=has_d,
                has_l=has_l,
                has_y=has_y,
            )
        )
    names = list(naive.columns)
    identity = tuple(names.index(name) for name in naive.identity())
    loaded = pa.table(data)
    connection.register("loaded", loaded)
    hashed = [f"s{index}" for index in identity if columns[index].present]
    hash_of = f"hash({', '.join(hashed)})" if hashed else "0::UBIGINT"
    if weak_hash:
        hash_of = f"{hash_of} % 2"
    relation = f"t{number}"
    connection.execute(f"CREATE TABLE {relation} AS SELECT *, {hash_of} AS h FROM loaded")
    connection.unregister("loaded")
    return Table(
        name=naive.name,
        files=tuple(naive.files),
        relation=relation,
        columns=tuple(columns),
        identity=identity,
        attempted=naive.attempted,
        records=naive.records,
        parsed=naive.attempted > 0,
        missing=naive.closed and not naive.files,
    )


def measure_files(
    files: dict[str, bytes],
    declare: dict[str, Any],
    *,
    closed: bool = False,
    threads: int = 2,
    weak_hash: bool = False,
) -> dict[str, dict[str, MeasureResult]]:
    """Every measure of every table by the engine: {table: {measure: result}}."""
    connection = duckdb.connect(config={"threads": threads})
    naive_tables = read_dataset(files, declare, closed=closed)
    tables = [build_table(connection, naive, number, weak_hash=weak_hash) for number, naive in enumerate(naive_tables)]
    declaration = Declaration.parse(declare, closed=closed)
    declared = [declaration.for_table(table.name, table.files) for table in tables]
    subjects = [
        Subject(table, own, closed, tuple(tables), any(other.foreign_keys for other in declared), declaration.as_of)
        for table, own in zip(tables, declared, strict=True)
    ]
    results = run_measures(COUNTED, subjects, DuckDBEngine(connection)).results
    connection.close()
    return {table.name: {result.id: result for result in results if result.table == table.name} for table in tables}


def facts(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, tuple[Any, ...]]]:
    """Status, num, den and value of results, engine's or naive ones, to compare."""
    return {
        table: {name: (str(r.status), r.num, r.den, r.value) for name, r in measures.items()}
        for table, measures in results.items()
    }
