"""A record over the limit fails wherever in its file it stands: where blocks end decides nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from jiebang.dataset import csv_records, encoding, json_array, json_records
from jiebang.dataset.opening import FileKind
from tests.unit.dataset.reading import read

LIMIT = 1_000
TOO_LONG = {2: "it is longer than 16 MiB"}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BLOCK_BYTES", LIMIT)
    for module in (csv_records, json_array, json_records):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", LIMIT)


@pytest.mark.parametrize("quoting", ["{}", '"{}"', '5"{}'], ids=["bare", "quoted", "irregular"])
def test_a_csv_record_over_the_limit_fails_wherever_it_stands(quoting: str, folder: Path) -> None:
    for lead in range(0, LIMIT - 100, 50):
        for size, failures in ((LIMIT - 2, {}), (LIMIT - 1, TOO_LONG)):
            long = quoting.format("x" * (size - len(quoting) + 2))
            found = read(f"a,b\n{'y' * lead},1\n{long},2\n3,4\n".encode(), folder)
            assert (found.attempted, found.failures) == (3, failures), (lead, size)
            assert list(found.records) == [n for n in (1, 2, 3) if n not in failures]


def test_a_json_line_over_the_limit_fails_wherever_it_stands(folder: Path) -> None:
    for lead in range(0, LIMIT - 100, 50):
        for size, failures in ((LIMIT, {}), (LIMIT + 1, TOO_LONG)):
            long = '{"a":"' + "x" * (size - 8) + '"}'
            lines = ['{"a":"' + "y" * lead + '"}', long, *['{"a":"z"}'] * 60]
            found = read("\n".join(lines).encode(), folder, FileKind.JSONL)
            assert (found.attempted, found.failures) == (62, failures), (lead, size)
            assert len(found.records) == 62 - len(failures)


def test_an_element_over_the_limit_ends_the_array_wherever_it_stands(folder: Path) -> None:
    ends = {2: "it is longer than 16 MiB, and what follows is not read"}
    for lead in range(0, LIMIT - 100, 50):
        for size, records, failures in ((LIMIT, [1, 2, 3], {}), (LIMIT + 1, [1], ends)):
            long = '{"a":"' + "x" * (size - 8) + '"}'
            text = '[{"a":"' + "y" * lead + '"},' + long + ',{"a":"z"}]'
            found = read(text.encode(), folder, FileKind.JSON)
            assert (list(found.records), found.failures) == (records, failures), (lead, size)
