"""The measures give the right integers of every case from canonical tables."""

from __future__ import annotations

import pytest

from tests.cases import case_names, expected, load_case
from tests.unit.measures.canonical_tables import COUNTED, facts, measure_files

SLOW = {"flights"}  # its naive reading takes long; the whole engine is held against it elsewhere


@pytest.mark.parametrize("name", [name for name in case_names() if name not in SLOW])
def test_the_measures_give_the_right_integers(name: str) -> None:
    case = load_case(name)
    found = facts(measure_files(case.files, case.declare))
    for table, measures in expected()[name].items():
        right = {id_: tuple(answer[k] for k in ("status", "num", "den", "value")) for id_, answer in measures.items()}
        assert {id_: found[table][id_] for id_ in right if id_ in found[table]} == {
            id_: answer for id_, answer in right.items() if id_ in found[table]
        }
        assert set(found[table]) == {measure.id for measure in COUNTED}
