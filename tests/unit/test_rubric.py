"""Rubrics are read strictly, and a digest tells two of them apart."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from jiebang.errors import DeclarationError
from jiebang.measures import MEASURES
from jiebang.rubric import Rubric, presets


def small(**changes: Any) -> dict[str, Any]:
    rubric: dict[str, Any] = {
        "id": "mine",
        "version": 2,
        "dimensions": {
            "shape": {"weight": 3, "measures": {"FMT-1": {"floor": 0.5, "target": 1}}},
            "content": {"weight": "1.5", "measures": {"COM-1": {"floor": "0", "target": "0.9", "weight": 2}}},
        },
    }
    return {**rubric, **changes}


def test_core_0_stays_as_it_is() -> None:
    # Certificates and scores name this digest; another weight is another rubric.
    assert Rubric.load("core-0").digest == "aa80ce77ba49da994b48d24dc4244c41c112cb80cd84a24df44ccb24dbbbe655"
    assert "core-0" in presets()


def test_core_0_has_the_weights_floors_and_targets_that_were_agreed() -> None:
    rubric = Rubric.load("core-0")
    assert {dimension.name: int(dimension.weight) for dimension in rubric.dimensions} == {
        "conformity": 12,
        "completeness": 12,
        "accuracy": 14,
        "consistency": 16,
        "balance": 10,
    }
    found = {name: (str(c.floor), str(c.target), str(c.weight)) for name, c in rubric.criteria.items()}
    assert found == {
        "FMT-1": ("19/20", "1", "1"),
        "TYP-1": ("19/20", "1", "1"),
        "COM-1": ("4/5", "1", "1"),
        "COM-2": ("4/5", "1", "1"),
        "COM-3": ("7/10", "1", "1"),
        "SCL-1": ("0", "1", "1"),
        "OUT-1": ("99/100", "1", "1/2"),
        "DUP-1": ("4/5", "1", "1"),
        "KEY-1": ("99/100", "1", "1"),
        "REF-1": ("19/20", "1", "1"),
        "BAL-1": ("3/10", "9/10", "1"),
    }
    assert not any(criterion.required for criterion in rubric.criteria.values())


def test_the_draft_of_core_1_lists_every_measure_with_the_weights_that_were_agreed() -> None:
    rubric = Rubric.load("core-1-draft")
    assert {dimension.name: int(dimension.weight) for dimension in rubric.dimensions} == {
        "documentation": 10,
        "conformity": 12,
        "completeness": 12,
        "accuracy": 14,
        "consistency": 16,
        "timeliness": 6,
        "balance": 10,
        "safety": 10,
    }
    # Sensitive personal information is a gate, which is passed or not.
    assert {measure.id for measure in MEASURES} - {"PII-2"} <= set(rubric.criteria)
    first = Rubric.load("core-0").criteria
    assert {name: criterion for name, criterion in rubric.criteria.items() if name in first} == first
    assert {str(criterion.weight) for name, criterion in rubric.criteria.items() if name not in first} == {"1"}


def test_numbers_are_read_exactly_whether_text_or_float() -> None:
    criterion = Rubric.parse(small()).criteria["COM-1"]
    assert (criterion.floor, criterion.target, criterion.weight) == (0, Fraction(9, 10), 2)


def test_a_written_out_rubric_is_the_same_rubric() -> None:
    rubric = Rubric.parse(small())
    assert Rubric.parse(rubric.as_dict()) == rubric
    assert Rubric.parse(rubric.as_dict()).digest == rubric.digest
    assert Rubric.parse(small(version=3)).digest != rubric.digest


def test_a_score_runs_from_the_floor_to_the_target_and_no_further() -> None:
    criterion = Rubric.parse(small()).criteria["FMT-1"]
    values = [Fraction(0), Fraction(1, 2), Fraction(3, 4), Fraction(1), Fraction(2)]
    assert [criterion.score(value) for value in values] == [0, 0, 50, 100, 100]


@pytest.mark.parametrize(
    ("wrong", "path", "says"),
    [
        (small(dimension={}), ["dimension"], "`dimensions`"),
        (small(id="a b"), ["id"], "letters"),
        (small(version=1.5), ["version"], "whole"),
        (small(as_of="2026-13-01"), ["as_of"], "YYYY-MM-DD"),
        (small(dimensions={}), ["dimensions"], "mapping"),
        (small(dimensions={"a": {"weight": 0, "measures": {"FMT-1": {"floor": 0, "target": 1}}}}),
         ["dimensions", "a", "weight"], "above 0"),
        (small(dimensions={"a": {"weight": 1, "measures": {"FMT1": {"floor": 0, "target": 1}}}}),
         ["dimensions", "a", "measures", "FMT1"], "Did you mean `FMT-1`?"),
        (small(dimensions={"a": {"weight": 1, "measures": {"FMT-1": {"floor": 1, "target": 1}}}}),
         ["dimensions", "a", "measures", "FMT-1", "target"], "above its floor"),
        (small(dimensions={"a": {"weight": 1, "measures": {"FMT-1": {"floor": True, "target": 1}}}}),
         ["dimensions", "a", "measures", "FMT-1", "floor"], "a number"),
        (small(dimensions={"a": {"weight": 1, "measures": {"FMT-1": {"floor": 0, "target": 1, "must": True}}}}),
         ["dimensions", "a", "measures", "FMT-1", "must"], "required"),
        (small(dimensions={n: {"weight": 1, "measures": {"FMT-1": {"floor": 0, "target": 1}}} for n in "ab"}),
         ["dimensions", "b", "measures", "FMT-1"], "one dimension"),
        (small(grades={"A": {"total": 90}, "B": {"total": 95}}), ["grades", "B"], "best grade"),
        (small(grades={"A": {"total": 90}}), ["grades"], "total 0"),
    ],
)  # fmt: skip
def test_a_wrong_rubric_names_its_place_and_what_to_do(wrong: dict[str, Any], path: list[Any], says: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Rubric.parse(wrong)
    assert caught.value.fields["path"] == path
    assert says in f"{caught.value.title} {caught.value.detail}"


def test_an_error_in_a_rubric_file_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "rubric.yaml"
    path.write_text("id: x\ndimensions:\n  a:\n    weight: 1\n    measures:\n      COM-9: {floor: 0, target: 1}\n")
    with pytest.raises(DeclarationError) as caught:
        Rubric.load(path)
    assert caught.value.fields["line"] == 6
    assert "rubric.yaml, line 6" in caught.value.title


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(DeclarationError, match="core-0"):
        Rubric.load("core-9")
