"""BAL-1, label balance.

Aligned with the balance of ISO/IEC 5259-2 (label distribution); GB/T 36344-2018 has no counterpart. Entropy after C. E.
Shannon, 1948.

Example: the penguins by species, 152, 124 and 68 of three classes: 0.954982.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

from jiebang.measures.definition import LONG, Measure, Plan, Rows, Subject, literal, six_places
from jiebang.measures.labels import without_label
from jiebang.measures.missing import present_cells
from jiebang.result import Evidence, MeasureResult, Status

_NAMED = 1000
_SHOWN = 5
_COUNTED, _LONGEST = 50, 60


def plan(subject: Subject) -> Plan:
    """-Σ p ln p / ln K over the classes of the label, for K declared classes, else those observed.

    Missing labels are left out; a single class gives 0. A label that is none of the declared classes counts with the
    most frequent class, the reading that favours nobody: inventing classes cannot balance the others. In a challenge a
    label column without any label fails.
    """
    column = subject.column(subject.declared.label or "")
    assert column is not None
    label, relation, classes = f"s{column.index}", subject.table.relation, subject.declared.classes
    present = present_cells(column)
    counted = f"SELECT {label} AS c, count(*) AS n FROM {relation} WHERE {label} IS NOT NULL"
    if classes:
        counted += f" AND ({' OR '.join(f'{label} = {literal(name)}' for name in classes)})"
    counted += f" GROUP BY {label}"
    # Rarest first, so that the classes to add to are known by name; a label with very many values, which is most
    # likely no label, is brought over as counts of counts.
    named = Rows(f"{counted} ORDER BY n, c LIMIT {_NAMED + 1}")
    answers = yield [present, named]
    labelled = answers.integer(present)
    rows = [(str(name), int(n or 0)) for name, n in answers.rows(named)]
    if len(rows) <= _NAMED:
        sizes = Counter(n for _, n in rows)
    else:
        sized = Rows(f"SELECT n, count(*) AS classes FROM ({counted}) AS sizes GROUP BY n")
        sizes = Counter()
        for n, alike in (yield [sized]).integers(sized):
            sizes[n] = alike
    if labelled == 0:
        return MEASURE.result(subject, Status.FAILED if subject.closed else Status.NOT_APPLICABLE)
    strangers = labelled - sum(n * k for n, k in sizes.items())
    if strangers:
        largest = max(sizes, default=0)
        sizes = sizes - Counter({largest: 1}) + Counter({largest + strangers: 1})
    k = len(classes) or sum(sizes.values())
    note = f"{strangers} of {labelled} labels are none of the declared classes" if strangers else None
    unseen = [name for name in classes if name not in dict(rows)] if len(rows) <= _NAMED else []
    evidence = [Evidence(column=column.name, note=f"no record of class {name[:40]}") for name in unseen[:_SHOWN]]
    told = bool(classes) or _are_classes(rows)
    evidence += [
        Evidence(
            column=column.name,
            note=f"{n} record{'' if n == 1 else 's'} of {f'class {name[:40]}' if told else 'one class'}",
        )
        for name, n in rows[: _SHOWN - len(evidence)]
    ]
    return MeasureResult(
        MEASURE.id,
        MEASURE.version,
        Status.MEASURED,
        value=six_places(balance(sizes, k)),
        table=subject.table.name,
        counts=_counts(rows, classes, strangers, sizes, k),
        evidence=tuple(evidence),
        note=note,
    )


def _counts(
    rows: list[tuple[str, int]], classes: tuple[str, ...], strangers: int, sizes: Mapping[int, int], k: int
) -> dict[str, int]:
    """The integers the value comes from: the records of each class, or of many classes how many have which size."""
    if len(classes) > _COUNTED or not (_few(rows) if classes else _are_classes(rows)):
        return {"classes": k, **{f"classes of {n}": sizes[n] for n in sorted(sizes)}}
    counts = {**dict.fromkeys(classes, 0), **dict(reversed(rows))}
    return {**counts, "(no declared class)": strangers} if strangers else counts


def _few(rows: list[tuple[str, int]]) -> bool:
    """Whether there is room to name each class."""
    return len(rows) <= _COUNTED and all(len(name) <= _LONGEST for name, _ in rows)


def _are_classes(rows: list[tuple[str, int]]) -> bool:
    """Whether values that nobody declared look like classes: many, long or hardly repeated ones may be people."""
    return _few(rows) and sum(n for _, n in rows) >= 2 * len(rows)


def balance(sizes: Mapping[int, int], k: int) -> Decimal:
    """Normalised entropy of a label: `sizes` says how many classes have that many records, K is `k`."""
    if k == 1 or sum(sizes.values()) == 1:
        return Decimal(0)
    total = Decimal(sum(n * count for n, count in sizes.items()))
    entropy = Decimal(0)
    for n in sorted(sizes):
        p = LONG.divide(Decimal(n), total)
        entropy = LONG.subtract(entropy, LONG.multiply(Decimal(sizes[n]), LONG.multiply(p, LONG.ln(p))))
    return LONG.divide(entropy, LONG.ln(Decimal(k)))


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.status is Status.FAILED:
        return "Hand in the declared label column, with its labels."
    rarest = ", ".join(pointer.note or "" for pointer in result.evidence[:2])
    return f"Add records of the rare classes ({rarest})."


MEASURE = Measure(
    "BAL-1",
    "label balance",
    plan,
    advice,
    without_label,
    declares="label",
    derived=True,
    columns=lambda subject: [subject.declared.label or ""],
)
