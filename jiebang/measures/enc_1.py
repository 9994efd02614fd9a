"""ENC-1, text cleanliness.

Aligned with the understandability of ISO/IEC 5259-2 and the dirty-data rate (脏数据出现率) of GB/T 36344-2018.

Example: the cells `plain` and `bÃ©` in a declared text column have 8 characters, of which the mojibake pair is 2: 6/8 =
0.750000.
"""

from __future__ import annotations

from jiebang.dataset.tables import Fact
from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, pointer_query, ratio
from jiebang.result import MeasureResult, Status

_COLUMNS_SHOWN = 5


def unmet(subject: Subject) -> Status | None:
    """Not applicable without text columns; failed when one of them is not there."""
    if not subject.declared.text:
        return Status.NOT_APPLICABLE
    return None if subject.columns(subject.declared.text) is not None else Status.FAILED


def plan(subject: Subject) -> Plan:
    """1 - damaged characters / characters, over the cells of the declared `text` columns.

    Damaged are U+FFFD, the controls U+0000 to U+001F but tab, LF and CR, and U+0080 to U+009F, private use, both
    characters of a mojibake pair (such as Ã©, â€, 锟斤), and all those of an HTML tag; each counts once. A title in
    angle brackets is no tag. A file decoded wrongly on its way lowers it; so do pages taken from the web as they are.
    In a challenge it fails when all these cells are missing.
    """
    columns = subject.columns(subject.declared.text) or []
    relation = subject.table.relation
    # Cells are counted by length and damage, since a sum of values could pass int64 and is no part of the subset.
    asks = [
        Rows(
            f"SELECT l{column.index} AS characters, e{column.index} AS damaged, count(*) AS n FROM {relation} "
            f"WHERE s{column.index} IS NOT NULL GROUP BY l{column.index}, e{column.index}"
        )
        for column in columns
    ]
    answers = yield asks
    den, lost = 0, dict.fromkeys(columns, 0)
    for column, ask in zip(columns, asks, strict=True):
        for characters, damaged, n in answers.integers(ask):
            den += characters * n
            lost[column] += damaged * n
    if subject.closed and not den:
        return MEASURE.result(subject, Status.FAILED)
    shown = sorted((column for column in columns if lost[column]), key=lambda column: (-lost[column], column.index))
    shown = shown[:_COLUMNS_SHOWN]
    evidence = []
    if shown:
        queries = [
            pointer_query(relation, f"e{column.index} > 0", tag, POINTERS // len(shown))
            for tag, column in enumerate(shown)
        ]
        ask = Rows(f"{' UNION ALL '.join(queries)} ORDER BY tag, f, r")
        evidence = [
            subject.pointer(f, r, shown[tag].name, f"damaged; {lost[shown[tag]]} such characters in this column")
            for tag, f, r in (yield [ask]).integers(ask)
        ]
    return ratio(MEASURE.id, subject, den - sum(lost.values()), den, evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in every column that is declared as text, with text."
    columns = list(dict.fromkeys(f"`{pointer.column}`" for pointer in result.evidence))
    where = f" in {', '.join(columns)}" if columns else ""
    what = f"{result.den - result.num} of {result.den} characters{where}"
    return f"Decode the text anew from its source and strip the markup: {what} are controls, mojibake or HTML tags."


MEASURE = Measure(
    "ENC-1",
    "text cleanliness",
    plan,
    advice,
    unmet,
    columns=lambda subject: subject.declared.text,
    facts=frozenset({Fact.CHARACTERS}),
)
