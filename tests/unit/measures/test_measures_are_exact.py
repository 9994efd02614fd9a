"""The measures give the integers of the naive reading on any small dirty dataset, however they are run."""

from __future__ import annotations

from hypothesis import given, settings

from tests.naive import judge as naive_judge
from tests.unit.measures.canonical_tables import facts, measure_files
from tests.unit.measures.dirty import Dirty, datasets, demands

EXAMPLES = settings(max_examples=80, deadline=None)


@EXAMPLES
@given(datasets())
def test_the_measures_equal_the_naive_reading_of_csv(dirty: Dirty) -> None:
    assert facts(measure_files(dirty.files, dirty.declare)) == facts(naive_judge(dirty.files, dirty.declare))


@EXAMPLES
@given(datasets(json_lines=True))
def test_the_measures_equal_the_naive_reading_of_jsonl(dirty: Dirty) -> None:
    assert facts(measure_files(dirty.files, dirty.declare)) == facts(naive_judge(dirty.files, dirty.declare))


@EXAMPLES
@given(demands())
def test_the_measures_equal_the_naive_reading_under_a_demand(dirty: Dirty) -> None:
    found = measure_files(dirty.files, dirty.declare, closed=True)
    assert facts(found) == facts(naive_judge(dirty.files, dirty.declare, closed=True))


@settings(max_examples=40, deadline=None)
@given(datasets())
def test_threads_and_colliding_hashes_change_no_integer(dirty: Dirty) -> None:
    right = facts(measure_files(dirty.files, dirty.declare, threads=1))
    for threads, weak_hash in ((2, True), (8, False)):
        found = measure_files(dirty.files, dirty.declare, threads=threads, weak_hash=weak_hash)
        assert facts(found) == right
