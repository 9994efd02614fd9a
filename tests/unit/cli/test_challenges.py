"""What a team reads of a challenge before it takes it up."""

from __future__ import annotations

from typing import Any

from jiebang.rubric import Rubric
from tests.unit.cli.conftest import Command
from tests.unit.cli.platform import Platform

CHALLENGE: dict[str, Any] = {
    "id": "chl_1",
    "version": 1,
    "state": "open",
    "title": {"zh": "企鹅", "en": "Penguins"},
    "sector": "science",
    "sponsor": "spn_1",
    "demand": {
        "label": "species",
        "key": ["bird"],
        "records": 1500,
        "classes": ["Adelie", "Gentoo"],
        "types": {"species": "text", "body_mass_g": "integer"},
    },
    "rubric": Rubric.load("core-0").as_dict(),
    "rubric_digest": Rubric.load("core-0").digest,
    "phases": [],
    "quota": {"per_day": 5, "total": 100},
    "limits": {"bytes": 250_000_000, "formats": ["csv", "parquet"]},
}


def lines_of(jiebang: Command, platform: Platform, challenge: dict[str, Any]) -> list[str]:
    """What is shown, line by line, with one blank between words."""
    platform.answers["GET", "/v1/challenges/chl_1"] = (200, challenge, {})
    ran = jiebang("challenge", "show", "chl_1")
    assert ran.code == 0
    return [" ".join(line.split()) for line in ran.out.splitlines()]


def test_a_challenge_shows_how_much_data_it_wants_and_in_what_form(logged_in: Command, platform: Platform) -> None:
    lines = lines_of(logged_in, platform, CHALLENGE)
    assert "records wanted: 1,500" in lines
    assert "classes of species: Adelie, Gentoo" in lines
    assert "size limit 250.0 MB" in lines
    assert "formats csv, parquet" in lines
    assert "species text label" in lines
    assert "bird key" in lines, "a column without a declared type is wanted too"


def test_a_challenge_shows_what_it_is_judged_by(logged_in: Command, platform: Platform) -> None:
    lines = lines_of(logged_in, platform, CHALLENGE)
    assert f"rubric core-0 sha256:{CHALLENGE['rubric_digest']}" in lines
    assert "Accuracy 14 OUT-1" in lines
    assert "Consistency 16 DUP-1, KEY-1, REF-1" in lines


def test_a_challenge_of_several_tables_shows_each(logged_in: Command, platform: Platform) -> None:
    tables = {
        "birds.csv": {"types": {"bird": "integer"}},
        "weights.csv": {"types": {"bird": "integer", "weight": "decimal"}, "records": 9000, "required": ["weight"]},
    }
    lines = lines_of(logged_in, platform, CHALLENGE | {"demand": {"records": 300, "key": ["bird"], "tables": tables}})
    birds, weights = lines.index("birds.csv"), lines.index("weights.csv")
    assert "records wanted: 300" in lines[birds:weights]
    assert "bird integer key" in lines[birds:weights]
    assert "records wanted: 9,000" in lines[weights:]
    assert "weight decimal ✓" in lines[weights:]
