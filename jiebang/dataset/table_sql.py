"""The select that turns the raw text of a whole table into its canonical columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jiebang.dataset.cell_sql import NUMERIC, Reading
from jiebang.dataset.tables import ColumnType

Readings = Mapping[int, Reading]
"""How each present column is read, by the column's index."""


def canonical_select(
    view: str,
    texts: Mapping[int, str],
    readings: Readings,
    hashed: Sequence[int] | None,
    proofs: Mapping[int, str] | None = None,
) -> str:
    """The canonical columns over a view of raw records; `texts` is SQL for the raw text of each column.

    `hashed` are the columns whose hash is kept as `h`, None where it is not kept; `proofs` name the columns of the view
    that tell of cells of text which are proved canonical and not missing.

    One layer each for the raw text `c`, the proof `f` that a cell is normal, the composed cell `n`, the canonical one
    `s`, its conformity `k`, and its value `x`, so that nothing is computed twice.
    """
    proofs = proofs or {}
    raw = _columns([*(f"{text} AS c{i}" for i, text in texts.items()), *proofs.values()])
    tests = {i: reading.normal(f"c{i}") for i, reading in readings.items()}
    tests |= {i: f"CASE WHEN {proof} THEN true ELSE {tests[i]} END" for i, proof in proofs.items()}
    tested = _columns(f"c{i}, {test} AS f{i}" for i, test in tests.items())
    composed = _columns(f"{reading.composed(f'c{i}', f'f{i}')} AS n{i}, f{i}" for i, reading in readings.items())
    canonical = _columns(f"{reading.canonical(f'n{i}', f'f{i}')} AS s{i}, f{i}" for i, reading in readings.items())
    conforming = _columns(
        f"s{i}, f{i}" + (f", {reading.conforms(f's{i}', f'f{i}')} AS k{i}" if _is_typed(reading) else "")
        for i, reading in readings.items()
    )
    kept = _columns(
        f"s{i}"
        + (f", k{i}" if _is_typed(reading) else "")
        + (f", {reading.value(f's{i}', f'f{i}', f'k{i}')} AS x{i}" if reading.type in NUMERIC else "")
        for i, reading in readings.items()
    )
    h = "" if hashed is None else f", {record_hash(hashed)} AS h"
    select = (
        f"SELECT {kept}{h} FROM (SELECT {conforming} FROM"
        f" (SELECT {canonical} FROM (SELECT {composed} FROM (SELECT {tested} FROM (SELECT {raw} FROM {view})))))"
    )
    facts = [f"{sql} AS {name}" for i, reading in readings.items() for name, (_, sql) in reading.facts(i).items()]
    return f"SELECT {', '.join(['*', *facts])} FROM ({select})" if facts else select


def record_hash(identity: Sequence[int]) -> str:
    """SQL for a hash of the columns that make a record."""
    return f"hash({', '.join(f's{i}' for i in identity)})" if identity else "0::UBIGINT"


def select_nothing(readings: Readings, hashed: Sequence[int] | None) -> str:
    """The canonical columns without any record."""
    columns = ["0::INTEGER AS f", "0::BIGINT AS r"]
    for i, reading in readings.items():
        columns.append(f"NULL::VARCHAR AS s{i}")
        if _is_typed(reading):
            columns.append(f"NULL::TINYINT AS k{i}")
        if reading.type in NUMERIC:
            columns.append(f"NULL::BIGINT AS x{i}")
        columns += [f"NULL::{kind} AS {name}" for name, (kind, _) in reading.facts(i).items()]
    if hashed is not None:
        columns.append("0::UBIGINT AS h")
    return f"SELECT {', '.join(columns)} WHERE false"


def select_again(before: str, readings: Readings, wrong: Readings, hashed: Sequence[int] | None) -> str:
    """The canonical columns of a table, those of `wrong` read anew from their canonical cells."""
    tested = ", ".join(["*", *(f"{reading.normal(f's{i}')} AS f{i}" for i, reading in wrong.items())])
    conforming = ", ".join(
        ["*", *(f"{r.conforms(f's{i}', f'f{i}')} AS again_k{i}" for i, r in wrong.items() if _is_typed(r))]
    )
    parts = []
    for i, reading in readings.items():
        now = wrong.get(i, reading)
        k = f"again_k{i}" if i in wrong else f"k{i}"
        part = f"s{i}" + (f", {k} AS k{i}" if _is_typed(now) else "")
        if now.type in NUMERIC:
            part += f", {now.value(f's{i}', f'f{i}', k)} AS x{i}" if i in wrong else f", x{i}"
        parts.append("".join([part, *(f", {name}" for name in reading.facts(i))]))
    h = "" if hashed is None else ", h"
    return f"SELECT {_columns(parts)}{h} FROM (SELECT {conforming} FROM (SELECT {tested} FROM {before}))"


def _is_typed(reading: Reading) -> bool:
    return reading.type is not ColumnType.TEXT


def _columns(parts: Iterable[str]) -> str:
    return ", ".join(["f", "r", *parts])
