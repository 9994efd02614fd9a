"""The measures over naive tables, each as its rule reads."""

from __future__ import annotations

import decimal
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.naive.cells import damaged_characters, instant, millionths
from tests.naive.dataset import NaiveTable, belongs, nearest, read_dataset
from tests.naive.domains import declared_types, is_within, upper_bound
from tests.naive.rules import keeps, kinds_in, names_in

FIRST_MEASURES = ["FMT-1", "TYP-1", "COM-1", "COM-2", "COM-3", "SCL-1", "OUT-1", "DUP-1", "KEY-1", "REF-1", "BAL-1"]
MEASURES = [*FIRST_MEASURES, "DOM-1", "ENC-1", "COM-4", "COM-5", "RUL-1", "LAB-3", "TIM-3", "LEK-1", "TIM-1", "BAL-2"]
LONG = decimal.Context(prec=50, rounding=decimal.ROUND_HALF_EVEN)


@dataclass(frozen=True)
class NaiveResult:
    status: str
    num: int | None = None
    den: int | None = None
    value: str | None = None


NOT_DECLARED = NaiveResult("not_declared")
NOT_APPLICABLE = NaiveResult("not_applicable")
FAILED = NaiveResult("failed")


def six_places(value: decimal.Decimal) -> str:
    return str(value.quantize(decimal.Decimal("0.000001"), rounding=decimal.ROUND_HALF_EVEN, context=LONG))


def ratio(num: int, den: int) -> NaiveResult:
    if den == 0:
        return NaiveResult("not_applicable", num, den)
    scaled, rest = divmod(num * 10**6, den)
    if 2 * rest > den or (2 * rest == den and scaled % 2):
        scaled += 1
    return NaiveResult("measured", num, den, f"{scaled // 10**6}.{scaled % 10**6:06d}")


def judge(files: dict[str, bytes], declare: dict[str, Any], *, closed: bool = False) -> dict[str, dict[str, Any]]:
    """Every measure of every table: {table: {measure: NaiveResult}}."""
    tables = read_dataset(files, declare, closed=closed)
    return {table.name: {name: measure(name, table, tables) for name in MEASURES} for table in tables}


def measure(name: str, table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    result = MEASURE[name](table, tables)
    if table.closed and table.records == 0 and not (name == "FMT-1" and table.attempted):
        # A demanded table without a record: what its demand makes applicable has failed.
        numeric = any(kind in ("integer", "decimal") for kind in table.declare.get("types", {}).values())
        applicable = result.status != "not_declared" and name not in ("REF-1", "OUT-1")
        applicable &= name != "ENC-1" or bool(table.declare.get("text"))
        applicable &= name not in ("TIM-1", "TIM-3", "COM-5") or "time" in table.declare
        applicable |= name == "OUT-1" and numeric
        applicable |= name == "REF-1" and bool(table.declare.get("foreign_keys"))
        return FAILED if applicable else result
    return result


def fmt_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    if table.attempted == 0:
        return NaiveResult("failed", 0, 0)
    return ratio(table.records, table.attempted)


def typ_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    if not table.closed and any(column not in table.columns for column in table.declare.get("types", {})):
        return FAILED if table.records else NaiveResult("not_applicable", 0, 0)
    verdicts = [verdict for column in table.columns for verdict in table.conforming(column) if verdict is not None]
    return ratio(sum(verdicts), len(verdicts))


def com_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    cells = [cell for column in table.columns.values() for cell in column]
    return ratio(sum(cell is not None for cell in cells), len(cells))


def required_columns(table: NaiveTable) -> list[list[str | None]]:
    wholly_missing: list[str | None] = [None] * table.records
    return [table.columns.get(name, wholly_missing) for name in table.declare.get("required", table.columns)]


def com_2(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    present = [sum(cell is not None for cell in column) for column in required_columns(table)]
    return ratio(min(present, default=table.records), table.records)


def com_3(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    required = required_columns(table)
    complete = sum(all(column[row] is not None for column in required) for row in range(table.records))
    return ratio(complete, table.records)


def distinct_records(table: NaiveTable) -> int:
    identity = table.identity()
    return len({tuple(table.columns[name][row] for name in identity) for row in range(table.records)})


def unlike_the_demand(table: NaiveTable) -> bool:
    return table.closed and table.records > 0 and table.absent.issuperset(table.columns)


def dup_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    if unlike_the_demand(table):
        return FAILED
    return ratio(distinct_records(table), table.records)


def scl_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    wanted = table.declare.get("records")
    if wanted is None:
        return NOT_DECLARED
    if table.records == 0:
        return NaiveResult("not_applicable", 0, 0)
    if unlike_the_demand(table):
        return FAILED
    return ratio(min(distinct_records(table), wanted), wanted)


def complete_rows(table: NaiveTable, names: list[str]) -> list[tuple[str, ...]]:
    rows = zip(*(table.columns[name] for name in names), strict=True)
    return [row for row in rows if None not in row]  # type: ignore[misc]


def there(table: NaiveTable, names: list[str]) -> bool:
    return all(name in table.columns and name not in table.absent for name in names)


def key_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    key = table.declare.get("key")
    if not key:
        return NOT_DECLARED
    if table.records == 0:
        return NaiveResult("not_applicable", 0, 0)
    if not there(table, key):
        return FAILED
    return ratio(len(set(complete_rows(table, key))), table.records)


def ref_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    references = table.declare.get("foreign_keys", [])
    if not references:
        none_at_all = not any(other.declare.get("foreign_keys") for other in tables)
        return NOT_DECLARED if len(tables) > 1 and none_at_all else NOT_APPLICABLE
    if table.records == 0:
        return NaiveResult("not_applicable", 0, 0)
    num = den = 0
    for reference in references:
        targets = [o for o in tables if any(belongs(path, reference["to"]) for path in [o.name, *o.files])]
        if not targets or not there(table, reference["fields"]) or not there(targets[0], reference["key"]):
            return FAILED
        known = set(complete_rows(targets[0], reference["key"]))
        rows = complete_rows(table, reference["fields"])
        den += len(rows)
        num += sum(row in known for row in rows)
    return ratio(num, den)


def bal_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    label = table.declare.get("label")
    if label is None:
        return NOT_DECLARED
    if table.records == 0:
        return NOT_APPLICABLE
    if not there(table, [label]):
        return FAILED
    counts = Counter(cell for cell in table.columns[label] if cell is not None)
    if not counts:
        return FAILED if table.closed else NOT_APPLICABLE
    classes = table.declare.get("classes")
    k = len(counts)
    if classes:
        # A label that is no class counts with the most frequent class, the reading that favours nobody.
        k = len(classes)
        strangers = sum(count for name, count in counts.items() if name not in classes)
        counts = Counter({name: counts[name] for name in classes if name in counts}) or Counter({classes[0]: 0})
        counts[max(counts, key=lambda name: counts[name])] += strangers
    if k == 1 or len(counts) == 1:
        return NaiveResult("measured", value="0.000000")
    total = sum(counts.values())
    entropy = decimal.Decimal(0)
    for count in counts.values():
        p = LONG.divide(decimal.Decimal(count), decimal.Decimal(total))
        entropy = LONG.subtract(entropy, LONG.multiply(p, LONG.ln(p)))
    return NaiveResult("measured", value=six_places(LONG.divide(entropy, LONG.ln(decimal.Decimal(k)))))


def out_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    num = den = 0
    for name, kind in table.types.items():
        if kind not in ("integer", "decimal"):
            continue
        verdicts = zip(table.columns[name], table.conforming(name), strict=True)
        numbers = [millionths(cell) for cell, verdict in verdicts if verdict and cell is not None]
        values = sorted(number for number in numbers if number is not None)
        if not values:
            continue
        middle = (len(values) + 1) // 2 - 1
        median = values[middle]
        deviation = sorted(abs(value - median) for value in values)[middle]
        limit = 118608 * deviation // 10000
        extreme = sum(abs(value - median) > limit for value in values)
        if deviation == 0 or (extreme > 3 and 100 * extreme > len(values)):
            continue
        num += len(values) - extreme
        den += len(values)
    return ratio(num, den)


UNITS = {"ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6, "w": 604800 * 10**6}


def series_of_times(table: NaiveTable) -> list[list[int]] | None:
    """The readable times of each series in the order of the records; None where a column is not there."""
    names = table.declare.get("series", [])
    if not there(table, [table.declare["time"], *names]):
        return None
    series: dict[tuple[str | None, ...], list[int]] = {}
    for row, moment in enumerate(table.instants(table.declare["time"])):
        if moment is not None:
            series.setdefault(tuple(table.columns[name][row] for name in names), []).append(moment)
    return list(series.values())


def tim_3(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    if table.declare.get("time") is None:
        return NOT_APPLICABLE
    if table.records == 0:
        return NaiveResult("not_applicable", 0, 0)
    series = series_of_times(table)
    if not series:
        return FAILED
    steps = [later > earlier for times in series for earlier, later in pairwise(times)]
    return FAILED if table.closed and not steps else ratio(sum(steps), len(steps))


def com_5(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    if table.declare.get("time") is None:
        return NOT_APPLICABLE
    grid = table.declare.get("grid")
    if grid is None:
        return NOT_DECLARED
    if table.records == 0:
        return NaiveResult("not_applicable", 0, 0)
    series = series_of_times(table)
    if not series:
        return FAILED
    step = int(grid.rstrip("abcdefghijklmnopqrstuvwxyz ")) * UNITS[grid.lstrip("0123456789 ")]
    num = den = 0
    for times in series:
        num += len({moment for moment in times if (moment - min(times)) % step == 0})
        den += (max(times) - min(times)) // step + 1
    return ratio(num, den)


def tim_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    time, period = table.declare.get("time"), table.declare.get("period")
    if time is None:
        return NOT_APPLICABLE
    if period is None:
        return NOT_DECLARED
    if table.records == 0:
        return NaiveResult("not_applicable", 0, 0)
    if not there(table, [time]):
        return FAILED
    first = instant(period["from"]) if "from" in period else None
    lasts = [upper_bound(text) for text in (period.get("to"), table.as_of) if text is not None]
    good = [
        moment is not None and (first is None or moment >= first) and all(moment <= last for last in lasts)
        for moment in table.instants(time)
    ]
    return ratio(sum(good), table.records)


def dom_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    domains = table.domains()
    if not domains:
        return NOT_DECLARED
    if table.records == 0:
        return NaiveResult("not_applicable", 0, 0)
    if not there(table, list(domains)):
        return FAILED
    verdicts = [
        is_within(cell, moment, bool(conforming), domain)
        for name, domain in domains.items()
        for cell, moment, conforming in zip(
            table.columns[name], table.instants(name), table.conforming(name), strict=True
        )
        if cell is not None
    ]
    return FAILED if table.closed and not verdicts else ratio(sum(verdicts), len(verdicts))


def rul_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    rules = table.declare.get("rules", [])
    if not rules:
        return NOT_DECLARED
    if table.records == 0:
        return NaiveResult("not_applicable", 0, 0)
    if not there(table, [name for rule in rules for name in names_in(rule)]):
        return FAILED
    num = den = 0
    for rule in rules:
        kinds = kinds_in(rule, declared_types(table.declare), table.declare.get("time"))
        cells: dict[str, list[Any]] = {}
        for name, kind in kinds.items():
            texts, conforming = table.columns[name], table.conforming(name)
            cells[name] = table.instants(name) if kind == "time" else list(texts)
            if kind == "number":
                judged = zip(texts, conforming, strict=True)
                cells[name] = [millionths(text) if text is not None and ok else None for text, ok in judged]
        for row in range(table.records):
            if all(table.columns[name][row] is not None for name in kinds):
                den += 1
                num += keeps(rule, {name: cells[name][row] for name in kinds}, kinds)
    return FAILED if table.closed and not den else ratio(num, den)


def enc_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    names = table.declare.get("text", [])
    if not names:
        return NOT_APPLICABLE
    if table.records == 0:
        return NaiveResult("not_applicable", 0, 0)
    if not there(table, names):
        return FAILED
    texts = [cell for name in names for cell in table.columns[name] if cell is not None]
    characters = sum(map(len, texts))
    if table.closed and not characters:
        return FAILED
    return ratio(characters - sum(map(damaged_characters, texts)), characters)


def labels(table: NaiveTable) -> list[str | None] | NaiveResult:
    """The labels, or how every measure of them ends without."""
    label = table.declare.get("label")
    if label is None:
        return NOT_DECLARED
    if table.records == 0:
        return NaiveResult("not_applicable", 0, 0)
    return table.columns[label] if there(table, [label]) else FAILED


def com_4(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    found = labels(table)
    if isinstance(found, NaiveResult):
        return found
    classes = table.declare.get("classes")
    return ratio(sum(label is not None and label in (classes or [label]) for label in found), table.records)


def bal_2(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    needed = table.declare.get("min_per_class")
    if needed is None:
        return NOT_DECLARED
    found = labels(table)
    if isinstance(found, NaiveResult):
        return found
    classes = table.declare["classes"]
    distinct = {(label, record(table, row, None)) for row, label in enumerate(found)}
    return ratio(sum(sum(label == name for label, _ in distinct) >= needed for name in classes), len(classes))


def record(table: NaiveTable, row: int, without: str | None) -> tuple[str | None, ...]:
    """What makes a record, one column left out: identifiers count where nothing else is left."""
    kept = [name for name in table.identity() if name != without and name not in table.absent]
    kept = kept or [name for name in table.columns if name != without and name not in table.absent]
    return tuple(table.columns[name][row] for name in kept)


def lab_3(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    found = labels(table)
    if isinstance(found, NaiveResult):
        return found
    clusters: dict[tuple[str | None, ...], list[str]] = {}
    for row, label in enumerate(found):
        if label is not None:
            clusters.setdefault(record(table, row, table.declare["label"]), []).append(label)
    several = [cluster for cluster in clusters.values() if len(cluster) >= 2]
    return ratio(sum(len(set(cluster)) == 1 for cluster in several), len(several))


def lek_1(table: NaiveTable, tables: list[NaiveTable]) -> NaiveResult:
    split = table.declare.get("split")
    if split is None:
        return NOT_DECLARED
    if table.records == 0:
        return NaiveResult("not_applicable", 0, 0)
    nothing = FAILED if table.closed else NaiveResult("not_applicable", 0, 0)
    column = split.get("column")
    if column is not None:
        if not there(table, [column]):
            return FAILED
        part = table.columns[column]
        test = [record(table, row, column) for row in range(table.records) if part[row] in split["test"]]
        train = [record(table, row, column) for row in range(table.records) if part[row] in split["train"]]
        if not test or not train:
            return nothing
        return ratio(sum(one not in train for one in test), len(test))

    def rows_in(other: NaiveTable, names: list[str]) -> list[int]:
        homes = [nearest(path, [*split["train"], *split["test"]]) for path in other.files]
        return [row for row, (file, _) in enumerate(other.rows) if homes[file] in names]

    if not any(nearest(path, [*split["train"], *split["test"]]) in split["test"] for path in table.files):
        elsewhere = any(
            nearest(path, [*split["train"], *split["test"]]) in split["test"] for o in tables for path in o.files
        )
        return NaiveResult("not_applicable", 0, 0) if elsewhere else nothing
    kept = [name for name in table.identity() if name not in table.absent]
    kept = kept or [name for name in table.columns if name not in table.absent]
    trained: set[tuple[str | None, ...]] = set()
    some = False
    for other in tables:
        rows = rows_in(other, split["train"])
        some = some or bool(rows)
        if there(other, kept):
            trained.update(tuple(other.columns[name][row] for name in kept) for row in rows)
    tested = rows_in(table, split["test"])
    if not tested or not some:
        return nothing
    clean = sum(tuple(table.columns[name][row] for name in kept) not in trained for row in tested)
    return ratio(clean, len(tested))


MEASURE = {
    "DOM-1": dom_1,
    "RUL-1": rul_1,
    "ENC-1": enc_1,
    "COM-4": com_4,
    "LAB-3": lab_3,
    "LEK-1": lek_1,
    "BAL-2": bal_2,
    "COM-5": com_5,
    "TIM-1": tim_1,
    "TIM-3": tim_3,
    "FMT-1": fmt_1,
    "TYP-1": typ_1,
    "COM-1": com_1,
    "COM-2": com_2,
    "COM-3": com_3,
    "SCL-1": scl_1,
    "OUT-1": out_1,
    "DUP-1": dup_1,
    "KEY-1": key_1,
    "REF-1": ref_1,
    "BAL-1": bal_1,
}
