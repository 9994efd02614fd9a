"""The rival of the engine: the same integers by SQL that a careful person writes by hand, on plain DuckDB.

Trims with a guard (only where an edge has something to trim), normalises, knows the missing markers, decides types by
regular expressions, and computes every measure of `core-0` over the benchmark's table. Prints the integers as JSON.
"""

from __future__ import annotations

import json
import sys

import duckdb

from bench.dirty import COLUMNS

_EDGE = r"^[ \t\r\n\x{00A0}\x{3000}]|[ \t\r\n\x{00A0}\x{3000}]$"
_TRIM = r"^[ \t\r\n\x{00A0}\x{3000}]+|[ \t\r\n\x{00A0}\x{3000}]+$"
_MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A", "#NA", "-", "--", "\\N")
_NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
_TYPES = {
    "integer": r"[+-]?[0-9]+",
    "decimal": _NUMBER,
    "boolean": r"[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]",
    "date": r"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}",
    "timestamp": r"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?",
}
_ORDER = ("integer", "decimal", "boolean", "date", "timestamp")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def measure(path: str, threads: int = 2) -> dict[str, list[int]]:
    """num and den of each ratio measure over the benchmark's CSV, label `status`, key `record`."""
    db = duckdb.connect()
    db.execute(f"SET threads = {threads}")
    db.execute("SET enable_progress_bar = false")  # under `python -c` it would be drawn into what is printed
    names = ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS)
    source = (
        f"read_csv({_literal(path)}, columns={{{names}}}, auto_detect=false, header=true, delim=',', quote='\"',"
        " escape='\"', nullstr='', strict_mode=true, store_rejects=true)"
    )
    missing = ", ".join(map(_literal, _MISSING))
    cells = ", ".join(f"CASE WHEN n.{name} IN ({missing}) THEN NULL ELSE n.{name} END AS {name}" for name in COLUMNS)
    trimmed = ", ".join(
        f"nfc_normalize(CASE WHEN regexp_matches({name}, {_literal(_EDGE)})"
        f" THEN regexp_replace({name}, {_literal(_TRIM)}, '', 'g') ELSE {name} END) AS {name}"
        for name in COLUMNS
    )
    db.execute(f"CREATE TABLE s AS SELECT {cells} FROM (SELECT {trimmed} FROM {source}) n")

    def one(sql: str) -> tuple[int, ...]:
        row = db.execute(sql).fetchall()[0]
        return tuple(int(value or 0) for value in row)

    (records,) = one("SELECT count(*) FROM s")
    (rejected,) = one("SELECT count(DISTINCT line) FROM reject_errors")
    present = one("SELECT " + ", ".join(f"count({name})" for name in COLUMNS) + " FROM s")
    (complete,) = one("SELECT count(*) FROM s WHERE " + " AND ".join(f"{name} IS NOT NULL" for name in COLUMNS))
    tests: list[str] = []
    for name in COLUMNS:
        for kind in _ORDER:
            real = {
                "integer": f" AND TRY_CAST({name} AS BIGINT) IS NOT NULL",
                "date": f" AND TRY_CAST(replace({name}, '/', '-') AS DATE) IS NOT NULL",
                "timestamp": f" AND TRY_CAST(replace({name}, '/', '-') AS TIMESTAMP) IS NOT NULL",
            }.get(kind, "")
            tests.append(f"count(*) FILTER (WHERE regexp_full_match({name}, {_literal(_TYPES[kind])}){real})")
    conforming = one("SELECT " + ", ".join(tests) + " FROM s")
    typed = 0
    numeric: list[str] = []
    for index, name in enumerate(COLUMNS):
        counts = conforming[index * len(_ORDER) : (index + 1) * len(_ORDER)]
        best = max(counts)
        if best and best * 10 >= present[index] * 9:
            typed += best
            if counts.index(best) < 2:
                numeric.append(name)
        else:
            typed += present[index]
    (distinct,) = one(f"SELECT count(*) FROM (SELECT DISTINCT {', '.join(COLUMNS)} FROM s)")
    (keys,) = one("SELECT count(DISTINCT record) FROM s")
    classes = sorted(
        count for (count,) in db.execute("SELECT count(*) FROM s WHERE status IS NOT NULL GROUP BY status").fetchall()
    )
    extreme, counted = 0, 0
    for name in numeric:
        value = f"TRY_CAST(CASE WHEN regexp_full_match({name}, {_literal(_NUMBER)}) THEN {name} END AS DECIMAL(30, 6))"
        db.execute(
            f"CREATE OR REPLACE TABLE v AS SELECT CAST({value} * 1000000 AS BIGINT) AS x FROM s WHERE {value} IS NOT NULL"
        )
        cells_here, median = one("SELECT count(*), quantile_disc(x, 0.5) FROM v")
        (mad,) = one(f"SELECT quantile_disc(abs(x - {median}), 0.5) FROM v")
        (beyond,) = one(f"SELECT count(*) FROM v WHERE abs(x - {median}) > {118608 * mad // 10000}")
        if mad and not (beyond > 3 and 100 * beyond > cells_here):
            extreme, counted = extreme + beyond, counted + cells_here
    return {
        "FMT-1": [records, records + rejected],
        "TYP-1": [typed, sum(present)],
        "COM-1": [sum(present), records * len(COLUMNS)],
        "COM-2": [min(present), records],
        "COM-3": [complete, records],
        "DUP-1": [distinct, records],
        "KEY-1": [keys, records],
        "OUT-1": [counted - extreme, counted],
        "BAL-1": classes,
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
