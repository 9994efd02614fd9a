"""The order of a leaderboard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ranking.ranking_rules import Place, decided_by, decimal6, least_dimension, millionths, place

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def placed(
    submission: str = "sub_a",
    total: str | None = "80.000000",
    least: str = "70.000000",
    coverage: str | None = "1.000000",
    received_at: datetime = NOON,
) -> Place | None:
    return place(
        submission,
        total=total,
        dimensions={"completeness": "99.000000", "balance": least},
        coverage=coverage,
        received_at=received_at,
    )


@pytest.mark.parametrize(
    ("better", "worse", "reason"),
    [
        ({"total": "80.000001"}, {"total": "80.000000", "least": "79.000000"}, "total"),
        ({"least": "70.000001"}, {"coverage": "1.000000"}, "least_dimension"),
        ({"coverage": "0.900001"}, {"coverage": "0.900000", "received_at": NOON - timedelta(days=1)}, "coverage"),
        ({"received_at": NOON}, {"received_at": NOON + timedelta(microseconds=1)}, "received_at"),
        ({"submission": "sub_a"}, {"submission": "sub_b"}, "submission"),
    ],
)
def test_a_tie_is_broken_by_the_next_rule(better: dict[str, str], worse: dict[str, str], reason: str) -> None:
    first, second = placed(**better), placed(**worse)  # type: ignore[arg-type]
    assert first is not None
    assert second is not None
    assert first < second
    assert decided_by(first, second) == reason


@pytest.mark.parametrize("total", [None, "NaN", "Infinity", "-Infinity", "sNaN", "", "ninety"])
def test_a_missing_or_non_finite_total_never_ranks(total: str | None) -> None:
    assert placed(total=total) is None


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_a_non_finite_dimension_or_coverage_never_ranks(number: str) -> None:
    assert placed(least=number) is None
    assert placed(coverage=number) is None
    assert placed(coverage=None) is None


def test_a_total_of_zero_ranks_behind_every_other() -> None:
    zero, one = placed(total="0.000000"), placed(total="0.000001")
    assert zero is not None
    assert one is not None
    assert one < zero


def test_the_least_dimension_is_compared_as_a_number_not_as_text() -> None:
    assert least_dimension({"a": "9.000000", "b": "10.000000"}) == "9.000000"
    assert least_dimension({}) is None


def test_a_place_is_not_compared_with_itself() -> None:
    entry = placed()
    assert entry is not None
    with pytest.raises(ValueError, match="sub_a"):
        decided_by(entry, entry)


@given(st.decimals(min_value=-1000, max_value=1000, places=6))
def test_millionths_are_exact(number: object) -> None:
    assert millionths(str(number)) == int(str(number).replace(".", ""))
    assert millionths(decimal6(millionths(str(number)) or 0)) == millionths(str(number))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12))
def test_no_two_submissions_share_a_place(numbers: list[tuple[int, int, int]]) -> None:
    places = [
        placed(f"sub_{i}", f"{total}.000000", f"{least}.000000", f"{coverage}.000000")
        for i, (total, least, coverage) in enumerate(numbers)
    ]
    assert len(set(places)) == len(places)
