"""The type of a column is that of all its cells, whatever a sample suggested."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiebang.dataset.cell_sql import Reading, install
from jiebang.dataset.inference import guess_type
from jiebang.dataset.table_sql import canonical_select
from jiebang.dataset.tables import ColumnType
from jiebang.dataset.text_columns import integer_array, nullable_view_array
from jiebang.dataset.verification import count_columns, wrong_types
from tests.naive.cells import infer_type

CELLS = ["1", "2", "-3", "1.5", "2.0", "1e3", "9223372036854775808", "true", "FALSE", "2024-01-02", "2024/02/30"]
CELLS += ["2024-01-02 10:00", "x", "12-34", ":", "yes", "+", "2024"]
MOSTLY = st.lists(st.sampled_from(CELLS), min_size=1, max_size=3, unique=True).flatmap(
    lambda few: st.lists(st.sampled_from(few * 6 + CELLS), max_size=40)
)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect(":memory:", config={"threads": 1})
    install(opened)
    return opened


@settings(max_examples=300, deadline=None)
@given(cells=MOSTLY, guess=st.sampled_from(list(ColumnType)))
def test_any_guess_is_corrected_by_all_cells(
    cells: list[str], guess: ColumnType, connection: duckdb.DuckDBPyConnection
) -> None:
    right = infer_type(cells)
    assert guess_type(cells) == right
    files = pa.Array.from_buffers(pa.int32(), len(cells), [None, pa.py_buffer(bytes(4 * len(cells)))])
    ordinals = integer_array(np.arange(1, len(cells) + 1, dtype=np.int64))
    texts = nullable_view_array([cell.encode() for cell in cells])
    connection.register("raw", pa.Table.from_arrays([files, ordinals, texts], names=["f", "r", "c0"]))
    readings = {0: Reading(guess, ("",))}
    connection.execute(f"CREATE OR REPLACE TABLE guessed AS {canonical_select('raw', {0: 'c0'}, readings, None)}")
    counts = count_columns(connection, "guessed", readings)
    found = wrong_types(connection, "guessed", readings, counts, [0])
    assert found.get(0, guess) == right
    assert found.get(0) is not guess
