"""Tricks that were tried on data competitions: none raises the total under a challenge's demand.

Each trick is a transformation of a real dataset. The demand is the sponsor's: it names the columns, their types, the
key, the label and its classes, the markers of a missing value, and how many records are needed.
"""

from __future__ import annotations

import csv
import io
import random
import tempfile
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest

import jiebang
from jiebang.declaration import DEFAULT_MISSING
from jiebang.errors import DeclarationError
from jiebang.judge import Report
from tests.cases import load_case

Files = dict[str, bytes]
Rows = list[dict[str, str]]

PENGUINS: dict[str, Any] = {
    "types": {
        "species": "text",
        "island": "text",
        "bill_length_mm": "decimal",
        "bill_depth_mm": "decimal",
        "flipper_length_mm": "integer",
        "body_mass_g": "integer",
        "sex": "text",
        "year": "integer",
    },
    "label": "species",
    "classes": ["Adelie", "Chinstrap", "Gentoo"],
    "missing": [*DEFAULT_MISSING, "none", "unknown"],
    "records": 344,
}

FLIGHTS: dict[str, Any] = {
    "tables": {
        "flights.csv": {
            "types": {
                "year": "integer",
                "month": "integer",
                "day": "integer",
                "dep_delay": "decimal",
                "arr_delay": "decimal",
                "carrier": "text",
                "flight": "integer",
                "tailnum": "text",
                "origin": "text",
                "dest": "text",
                "distance": "decimal",
            },
            "key": ["year", "month", "day", "carrier", "flight", "origin"],
            "label": "carrier",
            "records": 2000,
            "foreign_keys": [{"fields": ["tailnum"], "to": "planes.csv", "key": ["tailnum"]}],
        },
        "planes.csv": {
            "types": {
                "tailnum": "text",
                "year": "integer",
                "manufacturer": "text",
                "seats": "integer",
                "speed": "decimal",
            },
            "key": ["tailnum"],
            "required": ["tailnum", "manufacturer", "seats"],
            "records": 3000,
        },
    }
}


def read(data: bytes) -> Rows:
    return list(csv.DictReader(io.StringIO(data.decode())))


def write(rows: Rows, names: list[str] | None = None, quoting: Literal[0, 1] = csv.QUOTE_MINIMAL) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, names or list(rows[0]), extrasaction="ignore", quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@cache
def penguins() -> Files:
    """The penguins, with a few slips that a cleaner would find."""
    rows = read(load_case("penguins").files["penguins.csv"])
    rows[40]["body_mass_g"] = "3550g"
    rows[50]["bill_length_mm"] = "3960"
    return {"penguins.csv": write(rows + rows[:6])}


@cache
def flights() -> Files:
    """Two thousand flights and the planes, some repeated."""
    case = load_case("flights")
    rows = read(case.files["flights.csv"])[:2000]
    return {"flights.csv": write(rows + rows[:20]), "planes.csv": case.files["planes.csv"]}


def judged(files: Files, demand: dict[str, Any]) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, name).write_bytes(data)
        return jiebang.score(folder, demand=demand)


@cache
def honest(name: str) -> Report:
    return judged(penguins(), PENGUINS) if name == "penguins" else judged(flights(), FLIGHTS)


def changed(change: Callable[[Rows], Rows], name: str = "penguins.csv") -> Callable[[Files], Files]:
    return lambda files: {**files, name: write(change(read(files[name])))}


def each(change: Callable[[dict[str, str]], dict[str, str]]) -> Callable[[Rows], Rows]:
    return lambda rows: [change(dict(row)) for row in rows]


def incomplete(row: dict[str, str]) -> bool:
    return any(cell in DEFAULT_MISSING for cell in row.values())


def filled(marker: str) -> Callable[[Rows], Rows]:
    return each(lambda row: {name: marker if cell in DEFAULT_MISSING else cell for name, cell in row.items()})


def without(*names: str) -> Callable[[Rows], Rows]:
    return each(lambda row: {name: cell for name, cell in row.items() if name not in names})


def random_numbers(rows: Rows) -> Rows:
    chance = random.Random(7)
    return [{"key": str(number), "value": str(chance.random())} for number in range(1000)]


def repeat_the_best(rows: Rows) -> Rows:
    best = [row for row in rows if not incomplete(row)][:34]
    return (best * 12)[: len(rows)]


def invent_classes(rows: Rows) -> Rows:
    chance = random.Random(7)
    return each(lambda row: {**row, "species": row["species"] + chance.choice(["", " I", " II"])})(rows)


def make_ragged(files: Files) -> Files:
    header, *lines = files["penguins.csv"].decode().splitlines()
    return {"penguins.csv": "\n".join([header, *(line + ",," if "NA" in line else line for line in lines)]).encode()}


def full_column_of_the_same_name(files: Files) -> Files:
    header, *lines = files["penguins.csv"].decode().splitlines()
    return {"penguins.csv": "\n".join([f"{header},sex", *(f"{line},male" for line in lines)]).encode()}


def number_the_copies(rows: Rows) -> Rows:
    return [{"id": str(number), **row, "copy": str(number)} for number, row in enumerate(rows * 2)]


def pad_the_copies(rows: Rows) -> Rows:
    return rows + [{name: f"\u3000{cell}\u00a0" for name, cell in row.items()} for row in rows]


def beside_a_perfect_table(files: Files) -> Files:
    perfect = [{"a": str(number), "b": "x", "c": "1"} for number in range(20000)]
    return {**files, "perfect.csv": write(perfect)}


def cut_by_columns(files: Files) -> Files:
    rows = read(files["penguins.csv"])
    return {
        "a.csv": write(rows, ["species", "island", "bill_length_mm", "bill_depth_mm"]),
        "b.csv": write(rows, ["flipper_length_mm", "body_mass_g", "sex", "year"]),
    }


def one_file_a_class(files: Files) -> Files:
    rows = read(files["penguins.csv"])
    return {
        f"{species}.csv": write([row for row in rows if row["species"] == species])
        for species in ("Adelie", "Chinstrap", "Gentoo")
    }


def header_alone(name: str) -> Callable[[Files], Files]:
    return lambda files: {**files, name: files[name].split(b"\n")[0] + b"\n"}


PENGUIN_TRICKS: dict[str, Callable[[Files], Files]] = {
    "random numbers with a key instead of the data": changed(random_numbers),
    "the best tenth repeated as often as there were records": changed(repeat_the_best),
    "everything twice": changed(lambda rows: rows * 2),
    "everything twice, the copies told apart by extra columns": changed(number_the_copies),
    "everything twice, the copies told apart by blanks": changed(pad_the_copies),
    "holes filled with the word none": changed(filled("none")),
    "holes filled with markers between blanks, all in quotes": lambda files: {
        "penguins.csv": write(filled("\u3000NA ")(read(files["penguins.csv"])), quoting=csv.QUOTE_ALL)
    },
    "holes filled with a full stop in columns of numbers": changed(
        each(lambda row: {n: "." if c == "NA" and n != "sex" else c for n, c in row.items()})
    ),
    "a column of a broken type broken altogether": changed(
        each(lambda row: {**row, "body_mass_g": f"{row['body_mass_g']} g"})
    ),
    "numbers in full-width digits": changed(
        each(lambda row: {**row, "year": row["year"].translate({48 + d: 0xFF10 + d for d in range(10)})})
    ),
    "two hundred constant columns": changed(each(lambda row: {**row, **{f"c{i}": "1" for i in range(200)}})),
    "the emptiest column left out": changed(without("sex")),
    "every column with a hole left out": changed(
        without("sex", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
    ),
    "a full column under the name of the emptiest one": full_column_of_the_same_name,
    "the emptiest column renamed and given again as a constant": changed(
        each(lambda row: {("sex_" if n == "sex" else n): c for n, c in row.items()} | {"Sex": "male"})
    ),
    "incomplete records made unreadable": make_ragged,
    "all in one column of JSON": changed(each(lambda row: {"data": str(row)})),
    "labels left out": changed(without("species")),
    "labels blanked": changed(each(lambda row: {**row, "species": ""})),
    "frequent classes parted into invented ones": changed(invent_classes),
    "one invented class for the surplus of the frequent ones": changed(
        lambda rows: [
            {**row, "species": "other"} if row["species"] != "Chinstrap" and number % 2 else row
            for number, row in enumerate(rows)
        ]
    ),
    "a perfect table of other columns beside it": beside_a_perfect_table,
    "columns dealt out to two files": cut_by_columns,
    "one file for each class": one_file_a_class,
    "a header alone": header_alone("penguins.csv"),
}

FLIGHT_TRICKS: dict[str, Callable[[Files], Files]] = {
    "the table with the holes not handed in": lambda files: {"flights.csv": files["flights.csv"]},
    "the table with the holes handed in without records": header_alone("planes.csv"),
    "the table with the holes handed in as unreadable bytes": lambda files: {
        **files,
        "planes.csv": b"a,b\n\xff,\xfe,1\n",
    },
    "the table that refers not handed in": lambda files: {"planes.csv": files["planes.csv"]},
    "a perfect table of other columns beside them": beside_a_perfect_table,
    "the column that refers left out": changed(without("tailnum"), "flights.csv"),
    "the key that is referred to left out": changed(without("tailnum"), "planes.csv"),
    "a part of the key left out": changed(without("flight"), "flights.csv"),
    "records repeated to balance the label": changed(
        lambda rows: rows + [row for row in rows if row["carrier"] not in ("UA", "B6", "EV", "DL")] * 3, "flights.csv"
    ),
    "references answered by planes without anything else": lambda files: {
        **files,
        "planes.csv": write(
            read(files["planes.csv"])
            + [{"tailnum": tail} for tail in {row["tailnum"] for row in read(files["flights.csv"])}]
        ),
    },
    "both tables in one file": lambda files: {
        "flights.csv": write(read(files["flights.csv"]) + read(files["planes.csv"]), FLIGHT_COLUMNS)
    },
}
FLIGHT_COLUMNS = [*FLIGHTS["tables"]["flights.csv"]["types"], "manufacturer", "seats", "speed"]


def total(report: Report) -> Decimal:
    return Decimal(report.total or 0)


def test_the_honest_datasets_leave_room_to_gain() -> None:
    for name in ("penguins", "flights"):
        assert Decimal(50) < total(honest(name)) < Decimal(99)
        assert len(honest(name).fixes) >= 4


@pytest.mark.parametrize("trick", PENGUIN_TRICKS)
def test_no_trick_raises_the_total_of_one_table(trick: str) -> None:
    assert total(judged(PENGUIN_TRICKS[trick](penguins()), PENGUINS)) <= total(honest("penguins"))


@pytest.mark.parametrize("trick", FLIGHT_TRICKS)
def test_no_trick_raises_the_total_of_several_tables(trick: str) -> None:
    assert total(judged(FLIGHT_TRICKS[trick](flights()), FLIGHTS)) <= total(honest("flights"))


def invented(models: Rows) -> Rows:
    return [{**models[n % len(models)], "body_mass_g": str(3000 + n)} for n in range(3000)]


BLIND_SPOTS: dict[str, tuple[str, Callable[[Files], Files]]] = {
    "holes of a text column filled with a word that the sponsor has not listed": (
        "penguins",
        changed(each(lambda row: {**row, "sex": "male" if row["sex"] == "NA" else row["sex"]})),
    ),
    "the few incomplete records left out": (
        "penguins",
        changed(lambda rows: [row for row in rows if not incomplete(row)]),
    ),
    "complete records invented, all of them different": (
        "penguins",
        changed(lambda rows: rows + invented([row for row in rows if not incomplete(row)])),
    ),
    "repeated records changed in one cell": (
        "flights",
        changed(lambda rows: rows[:2000] + [{**row, "dep_delay": "77"} for row in rows[2000:]], "flights.csv"),
    ),
    "an extreme value replaced by one beyond int64": (
        "penguins",
        changed(
            each(lambda row: {n: "1e30" if cell == "3960" else cell for n, cell in row.items()}),
        ),
    ),
    "so many extreme values added that their column looks heavy-tailed and is not judged": (
        "penguins",
        changed(lambda rows: rows[:60] + [{**row, "bill_length_mm": "3960"} for row in rows[60:63]] + rows[63:]),
    ),
    "references that are not found blanked": (
        "flights",
        lambda files: {
            **files,
            "flights.csv": write(
                blank_unknown(read(files["flights.csv"]), {row["tailnum"] for row in read(files["planes.csv"])})
            ),
        },
    ),
}


def blank_unknown(rows: Rows, known: set[str]) -> Rows:
    return [{**row, "tailnum": row["tailnum"] if row["tailnum"] in known else ""} for row in rows]


@pytest.mark.parametrize("trick", BLIND_SPOTS)
def test_what_these_measures_cannot_see(trick: str) -> None:
    # A cell that was changed to another plausible one is seen only beside the sponsor's raw data. These are written
    # down so that a measure that sees them, when there is one, is noticed here.
    name, transform = BLIND_SPOTS[trick]
    demand, files = (PENGUINS, penguins()) if name == "penguins" else (FLIGHTS, flights())
    assert total(judged(transform(files), demand)) > total(honest(name))


def test_the_demand_cannot_be_answered_with_an_own_declaration(tmp_path: Path) -> None:
    (tmp_path / "penguins.csv").write_bytes(penguins()["penguins.csv"])
    with pytest.raises(DeclarationError, match="exclude each other"):
        jiebang.score(tmp_path, declare={"label": "island"}, demand=PENGUINS)


def test_an_honest_repair_raises_the_total() -> None:
    def repair(rows: Rows) -> Rows:
        rows[40]["body_mass_g"], rows[50]["bill_length_mm"] = "3550", "39.6"
        return rows[:344]

    assert total(judged(changed(repair)(penguins()), PENGUINS)) > total(honest("penguins"))
