"""TYP-1, type conformity.

Aligned with the syntactic accuracy of ISO/IEC 5259-2 and the format conformity (数据格式合规性) of GB/T 36344-2018.

Example: a column declared `integer` holds `1`, `2`, `3,5` and a missing cell: 2/3 = 0.666667.
"""

from __future__ import annotations

from jiebang.measures.definition import POINTERS, Aggregate, Measure, Plan, Rows, Subject, pointer_query, ratio
from jiebang.measures.missing import present_cells
from jiebang.result import Evidence, MeasureResult, Status

_COLUMNS_SHOWN = 5


def unmet(subject: Subject) -> Status | None:
    """Failed when a type is declared for a column that is not there; in a challenge such a column is missing cells."""
    names = {column.name for column in subject.table.columns}
    return None if subject.closed or names.issuperset(subject.declared.types) else Status.FAILED


def plan(subject: Subject) -> Plan:
    """Cells that conform to their column's type / cells that are not missing.

    The type is the declared one. Undeclared, it is the one that most cells conform to if at least nine tenths do, else
    text, to which everything conforms. So a stray word in a column of numbers lowers it; so does, in a challenge,
    breaking a column until it looks like text.
    """
    columns = subject.present
    present = {column.index: present_cells(column) for column in columns}
    wrong = {
        column.index: Aggregate(f"count(*) FILTER (WHERE k{column.index} = 0)") for column in columns if column.has_k
    }
    answers = yield [*present.values(), *wrong.values()]
    cells = sum(answers.integer(ask) for ask in present.values())
    counts = {index: answers.integer(ask) for index, ask in wrong.items()}
    worst = sorted((index for index, count in counts.items() if count), key=lambda index: (-counts[index], index))
    evidence: list[Evidence] = []
    if worst:
        shown = {column.index: column for column in columns if column.index in worst[:_COLUMNS_SHOWN]}
        limit = POINTERS // len(shown)
        ask = Rows(
            " UNION ALL ".join(pointer_query(subject.table.relation, f"k{i} = 0", i, limit) for i in shown)
            + " ORDER BY tag, f, r"
        )
        rows = (yield [ask]).integers(ask)
        for index in worst[:_COLUMNS_SHOWN]:
            column = shown[index]
            note = f"not {column.type}; {counts[index]} such cell{'' if counts[index] == 1 else 's'} in this column"
            evidence += [subject.pointer(f, r, column.name, note) for tag, f, r in rows if tag == index]
    return ratio(MEASURE.id, subject, cells - sum(counts.values()), cells, evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in every column whose type is declared."
    columns = list(dict.fromkeys(f"`{pointer.column}`" for pointer in result.evidence))
    where = f", first of all in {', '.join(columns)}" if columns else ""
    return f"Correct {result.den - result.num} of {result.den} values that are not of their column's type{where}."


MEASURE = Measure("TYP-1", "type conformity", plan, advice, unmet, columns=lambda subject: subject.declared.types)
