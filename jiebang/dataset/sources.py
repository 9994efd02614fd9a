"""The data files of a dataset, each with the reader of its kind."""

from __future__ import annotations

from pathlib import Path

from jiebang.dataset.csv_records import open_csv
from jiebang.dataset.encoding import decide_encoding
from jiebang.dataset.opening import DataFile
from jiebang.dataset.planning import Source
from jiebang.declaration import Declaration


def open_source(file: DataFile, declaration: Declaration, folder: Path, warnings: list[str]) -> Source:
    """Decide how a data file is read and find its columns; what the report should tell goes to `warnings`."""
    declared = declaration.for_table(file.path, [file.path]).encoding
    encoding = decide_encoding(file.location, declared)
    if encoding.warning:
        warnings.append(f"{file.path}: {encoding.warning}")
    return open_csv(file, encoding)
