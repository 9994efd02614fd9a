"""Personal data and secrets: beside hyperscan alone, presidio's pattern recognisers, and polars' `str.contains`.

presidio and polars are in the dependency group `bench`: `uv sync --group bench`.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from bench.measure import BenchFailed, Sheet
from jiebang.dataset.tables import Column, ColumnType, Table
from jiebang.detectors import DETECTORS, compile_detectors
from jiebang.detectors.cells import TableScan
from jiebang.detectors.lists import AS_OF
from jiebang.detectors.scanning import Cells, scanner

RUNS = 7
_CHINESE = (
    "数据集质量评估需要可解释的指标（见附录）！",
    "价格为 35.5 元，编号 20240101，共 128 件…",
    "我们今天去公园散步，天气很好；明天可能下雨。",
    "2024年5月1日，第3批样本共采集1,280条，覆盖12个城市。",
)
_ENGLISH = (
    "The quick brown fox jumps over 13 lazy dogs at 10:35:12 on 2024-05-01. ",
    "See https://host.org/path?id=42 and v1.2.3 for details, order 20240000123. ",
    "Each record was labelled twice; disagreements went to a third annotator (about 4.2%). ",
)
_PERSONAL = (
    " 联系 13912345678 或 li.wei@163.com。",
    " 身份证 11010519491231002X，卡号 6222021234567890128。",
    " from 8.8.8.8 ",
)


def _documents(count: int, seed: int = 11) -> list[str]:
    """Documents of some 700 bytes in Chinese and English, numbers among them, one in fifty with personal data."""
    chance = random.Random(seed)
    return [
        "".join(chance.choice((*_CHINESE, *_ENGLISH)) for _ in range(10))
        + (chance.choice(_PERSONAL) if chance.random() < 0.02 else "")
        for _ in range(count)
    ]


def _batches(column: pa.Array, rows: int = 16_384) -> list[pa.Array]:
    """The column in the batches that the engine makes of cells of this size."""
    return [column.slice(first, rows) for first in range(0, len(column), rows)]


def _seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """The median of CPU seconds that a piece of work takes, all threads of the process counted."""
    times = []
    for _ in range(runs):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)


def text(small: bool) -> None:
    """Free text: hyperscan alone over the same patterns, and presidio's pattern recognisers."""
    compile_detectors()
    documents = _documents(20_000 if small else 100_000)
    column = pa.array(documents)
    size = sum(len(document.encode()) for document in documents) / 1e6
    joined = Cells.of(column).text
    database = scanner().database
    ours = size / _seconds(lambda: [scanner().scan(Cells.of(part), AS_OF) for part in _batches(column)])
    alone = size / _seconds(lambda: database.scan(joined, match_event_handler=lambda *match: None))
    found = len(scanner().scan(Cells.of(column), AS_OF)[0])
    if not found:
        raise BenchFailed("nothing was found in documents that hold personal data")
    sheet = Sheet(f"Personal data and secrets in text of {size:.0f} MB (MB a CPU second, one thread)")
    sheet.row("text, found and validated", f"{ours:.0f}", "hyperscan alone", f"{alone:.0f}", ours / alone, "≥ 0.6")
    sample = documents[: len(documents) // 100]
    recognisers = _recognisers()
    share = sum(len(document.encode()) for document in sample) / 1e6
    theirs = share / _seconds(lambda: _recognise(recognisers, sample), 1)
    name = f"presidio, {len(recognisers)} recognisers"
    sheet.row("the same", f"{ours:.0f}", name, f"{theirs:.2f}", ours / theirs, "≥ 50")
    sheet.print()


def _recognisers() -> list[Any]:
    try:
        from presidio_analyzer import predefined_recognizers as known
        from tldextract import TLDExtract, tldextract
    except ImportError as error:
        raise BenchFailed("presidio is not installed: `uv sync --group bench`") from error
    # With the list of domains that it brings: it would ask the network for a newer one.
    tldextract.TLD_EXTRACTOR = TLDExtract(suffix_list_urls=())
    kinds = ("CreditCard", "Email", "Ip", "Phone", "Crypto", "Iban", "Url")
    return [getattr(known, f"{kind}Recognizer")() for kind in kinds]


def _recognise(recognisers: Sequence[Any], documents: Sequence[str]) -> None:
    for document in documents:
        for recogniser in recognisers:
            recogniser.analyze(document, recogniser.supported_entities, None)


def dense(small: bool) -> None:
    """A table of many short cells: polars' `str.contains` of all candidate patterns, over the same columns."""
    compile_detectors()
    sheet = Sheet("Personal data and secrets in a table of short cells (CPU seconds, all threads)")
    count = 100_000 if small else 1_000_000
    for title, columns in (
        ("10 columns without any", _columns(count)),
        ("12 columns, one of phones, one of addresses", _columns(count) | _people(count)),
    ):
        connection, table = _canonical(columns)

        def look(connection: duckdb.DuckDBPyConnection = connection, table: Table = table) -> None:
            connection.execute(f"DROP TABLE IF EXISTS {table.relation}_finds")
            TableScan(connection, scanner(), AS_OF).scan(table)

        ours, theirs = _seconds(look), _seconds(_contains(columns))
        sheet.row(
            f"{count:,} rows, {title}", f"{ours:.2f}", "polars str.contains", f"{theirs:.2f}", ours / theirs, "≤ 1.67"
        )
        connection.close()
    sheet.print()


def _columns(count: int) -> dict[str, list[str]]:
    chance = random.Random(3)
    names = ["张伟", "王芳", "李娜", "刘洋", "陈静", "杨磊", "赵敏", "黄强"]
    cities = ["北京", "上海", "广州", "深圳", "成都", "杭州", "武汉", "西安"]
    notes = ["按时送达", "please call before delivery", "", "客户要求周末配送，勿放门口", "ok"]
    return {
        "id": [str(number) for number in range(count)],
        "name": [chance.choice(names) for _ in range(count)],
        "city": [chance.choice(cities) for _ in range(count)],
        "street": [f"{chance.choice(cities)}市中山路{chance.randrange(999)}号" for _ in range(count)],
        "status": [chance.choice(["active", "closed", "pending"]) for _ in range(count)],
        "amount": [f"{chance.random() * 10_000:.2f}" for _ in range(count)],
        "date": [f"2024-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}" for _ in range(count)],
        "note": [chance.choice(notes) for _ in range(count)],
        "order_no": [str(20_240_000_000_000 + chance.randrange(10**9)) for _ in range(count)],
        "sku": [f"SKU-{chance.randrange(10**6):06}-{chance.choice('ABCD')}" for _ in range(count)],
    }


def _people(count: int) -> dict[str, list[str]]:
    chance = random.Random(4)
    return {
        "phone": [f"1{chance.choice('356789')}{chance.randrange(10**9):09}" for _ in range(count)],
        "email": [f"user{chance.randrange(10**6)}@{chance.choice(['qq', '163', 'gmail'])}.com" for _ in range(count)],
    }


_TYPES = {
    "id": ColumnType.INTEGER,
    "amount": ColumnType.DECIMAL,
    "date": ColumnType.DATE,
    "order_no": ColumnType.INTEGER,
    "phone": ColumnType.INTEGER,
}


def _canonical(columns: dict[str, list[str]]) -> tuple[duckdb.DuckDBPyConnection, Table]:
    """The columns as a canonical table in memory."""
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.register("source", pa.table(columns))
    cells = [f'"{name}" AS s{index}' for index, name in enumerate(columns)]
    cells += [f"1::TINYINT AS k{index}" for index, name in enumerate(columns) if name in _TYPES]
    ordinal = "row_number() OVER ()"
    connection.execute(f"CREATE TABLE t0 AS SELECT 0::INTEGER AS f, {ordinal} AS r, {', '.join(cells)} FROM source")
    connection.unregister("source")
    described = tuple(
        Column(name, index, _TYPES.get(name, ColumnType.TEXT), has_k=name in _TYPES)
        for index, name in enumerate(columns)
    )
    count = len(next(iter(columns.values())))
    return connection, Table("table.csv", ("table.csv",), "t0", described, (), count, count)


def _contains(columns: dict[str, list[str]]) -> Callable[[], object]:
    try:
        import polars
    except ImportError as error:
        raise BenchFailed("polars is not installed: `uv sync --group bench`") from error
    frame = polars.DataFrame(columns)
    pattern = "|".join(f"(?{'i' if detector.caseless else ''}:{detector.candidate})" for detector in DETECTORS)
    return lambda: frame.select([polars.col(name).str.contains(pattern) for name in columns])
