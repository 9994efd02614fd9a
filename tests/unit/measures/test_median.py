"""Elements of a rank are found by counting alone, over the whole of int64."""

from __future__ import annotations

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from jiebang.measures.definition import INT64_MAX, INT64_MIN, literal
from jiebang.measures.median import RankSearch, beyond, deviation_buckets, value_buckets, within

int64 = st.one_of(st.integers(INT64_MIN, INT64_MAX), st.integers(-20, 20), st.sampled_from([INT64_MIN, INT64_MAX, 0]))


def search_in_python(values: list[int], rank: int) -> int:
    search = RankSearch(min(values), max(values), rank)
    while not search.found:
        if search.too_wide:
            search.part(sum(value < 0 for value in values))
            continue
        distances = [value - search.low for value in values if search.low <= value <= search.high]
        buckets: dict[int, list[int]] = {}
        for distance in distances:
            buckets.setdefault(distance >> search.shift, []).append(distance)
        search.keep((number, len(inside), min(inside), max(inside)) for number, inside in buckets.items())
    return search.low


@given(st.lists(int64, min_size=1), st.data())
def test_the_search_finds_the_element_of_every_rank(values: list[int], data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, len(values)))
    assert search_in_python(values, rank) == sorted(values)[rank - 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(int64, min_size=1, max_size=30))
def test_the_queries_find_median_and_median_deviation_without_overflow(values: list[int]) -> None:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (x0 BIGINT)")
    connection.executemany("INSERT INTO t VALUES (?)", [[value] for value in values])
    rank = (len(values) + 1) // 2
    search = RankSearch(min(values), max(values), rank)
    if search.too_wide:
        search.part(sum(value < 0 for value in values))
    while not search.found:
        search.keep(row[1:] for row in connection.execute(value_buckets("t", 0, search)).fetchall())
    median = sorted(values)[rank - 1]
    assert search.low == median
    search = RankSearch(0, min(INT64_MAX, max(max(values) - median, median - min(values))), rank)
    while not search.found:
        search.keep(row[1:] for row in connection.execute(deviation_buckets("t", 0, median, search)).fetchall())
    assert search.low == sorted(abs(value - median) for value in values)[rank - 1]


@settings(max_examples=60, deadline=None)
@given(int64, int64, st.integers(0, 2**65))
def test_conditions_on_a_distance_hold_where_the_distance_itself_would_overflow(
    x: int, centre: int, distance: int
) -> None:
    query = (
        f"SELECT {within('x0', centre, distance)}, {beyond('x0', centre, distance)} FROM (SELECT {literal(x)} AS x0)"
    )
    inside, outside = duckdb.connect().execute(query).fetchall()[0]
    assert (inside, outside) == (abs(x - centre) <= distance, abs(x - centre) > distance)
