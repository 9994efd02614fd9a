"""Makes the dirty table of the benchmarks: the same bytes for the same number of rows (with the locked DuckDB)."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

COLUMNS = (
    "record", "station", "reading", "temperature", "visits", "day", "moment", "status", "note", "code", "share", "active",
)  # fmt: skip
BYTES_PER_ROW = 115
BATCH = 200_000

_STATIONS = ["广州塔", "天河北", "珠江新城", "海珠湖", "白云山", "黄埔港", "南沙湾", "番禺站", "花都东", "增城西"]
_WORDS = [
    "设备运行正常",
    "数据已核对",
    "传感器更换",
    "读数偏高，待复查",
    "夜间值守",
    "雨后校准",
    "记录补录",
    "网络中断后恢复",
]

# Every cell is a function of the row number; about one cell in thirty is missing, padded, or of the wrong type.
_ROWS = """
WITH r AS (
  SELECT i, hash(i) h, hash(i + 1000000007) g, hash(i + 3000000019) w FROM range($first, $last) t(i)
)
SELECT
  i::VARCHAR || ',' ||
  CASE WHEN h % 997 = 0 THEN ' ' ELSE '' END || $stations[1 + (h % 10)::INT] || CASE WHEN h % 499 = 1 THEN chr(12288) ELSE '' END || ',' ||
  CASE WHEN g % 31 = 0 THEN 'NA' WHEN g % 211 = 1 THEN 'n.a.' WHEN g % 20011 = 5 THEN '987654321.5' ELSE ((g % 10000000)::BIGINT / 100)::DECIMAL(12,2)::VARCHAR END || ',' ||
  CASE WHEN g % 37 = 2 THEN '' ELSE CASE WHEN g % 3 = 0 THEN '-' ELSE '' END || (((g >> 8) % 400)::BIGINT / 10)::DECIMAL(6,1)::VARCHAR END || ',' ||
  CASE WHEN h % 41 = 3 THEN '-' ELSE (h % 5000)::VARCHAR END || ',' ||
  CASE WHEN w % 53 = 4 THEN 'null' WHEN w % 307 = 5 THEN '2024-02-30' ELSE (DATE '2019-01-01' + (w % 2500)::INT)::VARCHAR END || ',' ||
  CASE WHEN w % 61 = 6 THEN 'N/A' ELSE (TIMESTAMP '2020-01-01' + to_seconds((w % 150000000)::INT))::VARCHAR END || ',' ||
  CASE (h >> 8) % 4 WHEN 0 THEN 'ok' WHEN 1 THEN 'warn' WHEN 2 THEN 'fail' ELSE 'unknown' END || ',' ||
  CASE WHEN h % 1009 = 7 THEN '"' || $words[1 + (g % 8)::INT] || chr(10) || '第二行, 续"' WHEN h % 29 = 8 THEN '' ELSE $words[1 + (g % 8)::INT] || (h % 977)::VARCHAR END || ',' ||
  'K' || (w % 100000000)::VARCHAR || ',' ||
  CASE WHEN h % 43 = 9 THEN '--' WHEN h % 5003 = 10 THEN '1.5e-3' ELSE '0.' || lpad((h % 1000000)::VARCHAR, 6, '0') END || ',' ||
  CASE WHEN g % 67 = 11 THEN 'None' WHEN g % 2 = 0 THEN 'true' ELSE 'false' END ||
  CASE WHEN i % 9001 = 17 THEN ',surplus' ELSE '' END AS line
FROM r
"""


def rows_for(size: int) -> int:
    """About how many rows make a file of `size` bytes."""
    return size // BYTES_PER_ROW


def write(target: Path, rows: int) -> Path:
    """Write the table as CSV, unless it is there already; returns the path.

    About one record in 9,000 has a field too many, one note in a thousand holds a line end.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    with duckdb.connect() as connection, unfinished.open("wb") as file:
        connection.execute("SET threads = 2")
        file.write((",".join(COLUMNS) + "\n").encode())
        for first in range(0, rows, BATCH):
            given = {"first": first, "last": min(rows, first + BATCH), "stations": _STATIONS, "words": _WORDS}
            lines = [line for (line,) in connection.execute(f"{_ROWS} ORDER BY i", given).fetchall()]
            file.write(("\n".join(lines) + "\n").encode())
    unfinished.replace(target)
    return target


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), int(sys.argv[2])))
