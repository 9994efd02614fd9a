"""The data files of a dataset, each with the reader of its kind."""

from __future__ import annotations

from pathlib import Path

from jiebang.dataset.csv_records import open_csv
from jiebang.dataset.encoding import decide_encoding
from jiebang.dataset.json_records import open_json
from jiebang.dataset.opening import DataFile, FileKind
from jiebang.dataset.parquet_records import open_parquet
from jiebang.dataset.planning import Source
from jiebang.declaration import Declaration


def open_source(file: DataFile, number: int, declaration: Declaration, folder: Path, warnings: list[str]) -> Source:
    """Decide how a data file is read and find its columns; what the report should tell goes to `warnings`.

    `number` tells the files of a dataset apart, for what is written to `folder` on the way.
    """
    if file.kind is FileKind.PARQUET:
        return open_parquet(file)
    declared = declaration.for_table(file.path, [file.path]).encoding
    encoding = decide_encoding(file.location, declared)
    if encoding.warning:
        warnings.append(f"{file.path}: {encoding.warning}")
    if file.kind is FileKind.CSV:
        return open_csv(file, encoding)
    return open_json(file, encoding, folder / f"spool-{number}")
