"""The naive reading gives the right integers of every case, so it may judge the engine."""

from __future__ import annotations

import pytest

from tests.cases import case_names, expected, load_case
from tests.naive import judge
from tests.naive.measures import MEASURES


def test_every_case_has_its_expectation() -> None:
    assert set(case_names()) == set(expected())


@pytest.mark.parametrize("name", case_names())
def test_the_naive_reading_gives_the_right_integers(name: str) -> None:
    case = load_case(name)
    found = judge(case.files, case.declare)
    right = expected()[name]
    assert set(found) == set(right)
    compared = 0
    for table, measures in right.items():
        for measure, answer in measures.items():
            if measure in found[table]:
                result = found[table][measure]
                assert vars(result) == answer, (table, measure)
                compared += 1
    assert compared == len(set(MEASURES) & set(next(iter(right.values())))) * len(right) >= 12 * len(right)
