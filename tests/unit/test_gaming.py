"""Tricks that were tried on data competitions: none raises the total under a challenge's demand.

Each trick is a transformation of a real dataset. The demand is the sponsor's: it names the columns, their types, the
key, the label and its classes, the markers of a missing value, and how many records are needed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
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
from jiebang.structure.aspects import ASPECTS
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


def judged(files: Files, demand: dict[str, Any], rubric: str = "core-0") -> Report:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, name).write_bytes(data)
        return jiebang.score(folder, demand=demand, rubric=rubric)


@cache
def honest(name: str, rubric: str = "core-0") -> Report:
    return judged(penguins(), PENGUINS, rubric) if name == "penguins" else judged(flights(), FLIGHTS, rubric)


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


README = """# Penguins

## Summary
Measurements of penguins at Palmer Station, Antarctica.

## Source
K. Gorman and the Palmer Station LTER.

## Fields
One row a penguin: species, island, bill, flipper, body mass, sex, year.

## Collection
Birds were captured at their nests and measured by hand, 2007 to 2009.

## Limitations
Two birds without any measurement are kept.

## 版本
1.0

## 规模
344 条

## Labels
Three species.

## Uses
To classify a penguin by its measures.

## Contact
The station's data manager.

## Format
CSV in UTF-8.

## Coverage
Three islands.
"""


def manifest(files: Files) -> bytes:
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()


@cache
def described() -> Files:
    """The penguins with a README that leaves things out, a descriptor with two properties wanting, and a licence."""
    data = penguins()
    croissant = {
        "@context": {"@vocab": "https://schema.org/"},
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": "penguins",
        "description": "Penguins of three islands.",
        "license": "CC0-1.0",
        "url": "penguins",
        "creator": "K. Gorman",
        "datePublished": "2020-06-11",
        "isBasedOn": "https://example.org/penguins",
        "dateCreated": "2009",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "penguins.csv",
                "contentUrl": "penguins.csv",
                "sha256": hashlib.sha256(data["penguins.csv"]).hexdigest(),
            }
        ],
    }
    return {
        **data,
        "README.md": README.encode(),
        "LICENSE": b"CC0-1.0",
        "croissant.json": json.dumps(croissant).encode(),
    }


def left_out(*names: str) -> Callable[[Files], Files]:
    return lambda files: {name: data for name, data in files.items() if name not in names}


def added(**texts: str) -> Callable[[Files], Files]:
    return lambda files: {**files, **{name.replace("__", "."): text.encode() for name, text in texts.items()}}


def croissant_with(**changes: Any) -> Callable[[Files], Files]:
    return lambda files: {**files, "croissant.json": json.dumps(json.loads(files["croissant.json"]) | changes).encode()}


HEADINGS = [heading for aspect in ASPECTS for heading in (aspect.en.title(), aspect.zh)]

DESCRIBED_TRICKS: dict[str, Callable[[Files], Files]] = {
    "the README left out": left_out("README.md"),
    "a README of headings alone": added(README__md="\n".join(f"# {heading}" for heading in HEADINGS)),
    "the same sentence under every heading": added(
        README__md=README + "\n".join(f"## {heading}\nThe data are of the highest quality.\n" for heading in HEADINGS)
    ),
    "one heading with all words, and a long text": added(
        README__md=README + f"## {' and '.join(HEADINGS)}\n{'The data are of the highest quality. ' * 50}"
    ),
    "a mark that it will be written under every heading": added(
        README__md=README + "\n".join(f"## {heading}\nTODO\n" for heading in HEADINGS)
    ),
    "all words in one paragraph": added(README__md=README + ", ".join(HEADINGS)),
    "headings within code": added(
        README__md=README + "```\n" + "\n".join(f"# {h}\nx = 1" for h in HEADINGS) + "\n```\n"
    ),
    "many documents that say nothing": lambda files: {
        **files,
        **{f"README-{number}.md": f"# {heading}\n".encode() for number, heading in enumerate(HEADINGS)},
    },
    "the descriptor left out": left_out("croissant.json"),
    "all that describes the data left out": left_out("croissant.json", "README.md", "LICENSE"),
    "a descriptor with marks for what is wanting": croissant_with(
        url="FILL IN", creator={"@type": "Person", "name": "FILL IN"}
    ),
    "a descriptor with values of no form": croissant_with(url="http://x", creator={"@type": "Thing", "name": "x"}),
    "a second, better descriptor deeper down": lambda files: {
        **files,
        "a/croissant.json": json.dumps(
            json.loads(files["croissant.json"])
            | {"url": "https://example.org/x", "creator": {"@type": "Person", "name": "x"}}
        ).encode(),
    },
    "the digest of other bytes": croissant_with(
        distribution=[
            {"@type": "cr:FileObject", "@id": "penguins.csv", "contentUrl": "penguins.csv", "sha256": "0" * 64}
        ]
    ),
    "no file declared": croissant_with(distribution=[]),
    "a file outside declared": croissant_with(
        distribution=[{"@type": "cr:FileObject", "@id": "p", "contentUrl": "../penguins.csv", "sha256": "0" * 64}]
    ),
    "two hundred files beside it, declared and licensed": lambda files: {
        **files,
        **(junk := {f"junk/{number}.bin": str(number).encode() for number in range(200)}),
        "SHA256SUMS": manifest(junk),
    },
    "the licence left out of both": lambda files: left_out("LICENSE")(croissant_with(license="")(files)),
    "a licence that does not exist": lambda files: added(LICENSE="Open-Data-1.0")(
        croissant_with(license="Open-Data-1.0")(files)
    ),
    "another licence in the descriptor": croissant_with(license="MIT"),
    "a grant without a day": lambda files: added(LICENSE="", GRANT__md="Grantor: x\nUses: commercial\n")(
        croissant_with(license="")(files)
    ),
    "no source": croissant_with(isBasedOn=None),
    "the web as the source, without an address": croissant_with(isBasedOn={"name": "互联网", "url": "a site"}),
    "a source without a time": croissant_with(dateCreated=None),
    "own columns for the source, all of them empty": lambda files: changed(
        each(lambda row: {**row, "source": "", "source_details": "", "original_time": ""})
    )(files),
}


@cache
def honestly_described() -> Report:
    return judged(described(), PENGUINS, "core-1-draft")


def test_the_described_dataset_leaves_room_to_gain_in_what_it_says() -> None:
    found = {name: (result.num, result.den) for name, result in honestly_described().combined.items()}
    assert {name: found[name] for name in ("DOC-1", "MET-1", "MET-2", "LIC-1")} == {
        "DOC-1": (12, 20),
        "MET-1": (8, 10),
        "MET-2": (1, 1),
        "LIC-1": (1, 1),
    }
    assert found["PRV-1"] == (350, 350)


@pytest.mark.parametrize("trick", DESCRIBED_TRICKS)
def test_no_trick_with_what_describes_the_data_raises_the_total(trick: str) -> None:
    report = judged(DESCRIBED_TRICKS[trick](described()), PENGUINS, "core-1-draft")
    assert total(report) <= total(honestly_described())


def test_a_better_description_raises_the_total() -> None:
    better = added(README__md=README + "\n## License\nCC0-1.0\n\n## Quality\nTwo observers measured each bird.\n")
    more = croissant_with(url="https://example.org/penguins", creator={"@type": "Person", "name": "K. Gorman"})
    assert total(judged(more(better(described())), PENGUINS, "core-1-draft")) > total(honestly_described())


def total(report: Report) -> Decimal:
    return Decimal(report.total or 0)


def test_the_honest_datasets_leave_room_to_gain() -> None:
    for name in ("penguins", "flights"):
        assert Decimal(50) < total(honest(name)) < Decimal(99)
        assert len(honest(name).fixes) >= 4


@pytest.mark.parametrize("rubric", ["core-0", "core-1-draft"])
@pytest.mark.parametrize("trick", PENGUIN_TRICKS)
def test_no_trick_raises_the_total_of_one_table(trick: str, rubric: str) -> None:
    report = judged(PENGUIN_TRICKS[trick](penguins()), PENGUINS, rubric)
    assert total(report) <= total(honest("penguins", rubric))


@pytest.mark.parametrize("rubric", ["core-0", "core-1-draft"])
@pytest.mark.parametrize("trick", FLIGHT_TRICKS)
def test_no_trick_raises_the_total_of_several_tables(trick: str, rubric: str) -> None:
    report = judged(FLIGHT_TRICKS[trick](flights()), FLIGHTS, rubric)
    assert total(report) <= total(honest("flights", rubric))


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
