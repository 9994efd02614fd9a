"""What the teams of the demo hand in is real, made the same way each time, and says what is wrong with it."""

from __future__ import annotations

import hashlib
import pickletools
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import yaml

from deploy.local.demo import entries
from deploy.local.demo.entries import ATTACKERS, ENTRIES, TEAMS, Entry
from jiebang.declaration import Declaration

CHALLENGES = Path(entries.__file__).parent / "challenges"


def test_six_teams_play_three_challenges_of_three_sectors_and_three_attack() -> None:
    honest = [entry for entry in ENTRIES if not entry.refused]
    assert {entry.team for entry in honest} == set(TEAMS)
    assert len(TEAMS) == 6
    assert {entry.team for entry in ENTRIES if entry.refused} == set(ATTACKERS)
    assert len(ATTACKERS) == 3
    documents = [yaml.safe_load(file.read_text()) for file in CHALLENGES.glob("*.yaml")]
    assert len({document["sector"] for document in documents}) == 3
    for name in {entry.challenge for entry in ENTRIES}:
        assert len({entry.team for entry in honest if entry.challenge == name}) >= 4
        document = yaml.safe_load((CHALLENGES / f"{name}.yaml").read_text())
        Declaration.parse(document["demand"], closed=True)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.team.en}, {entry.challenge}, {entry.what}")
def test_an_entry_is_made_the_same_way_each_time(entry: Entry, tmp_path: Path) -> None:
    digests = set()
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
        digests.add(hashlib.sha256(entry.write(tmp_path / attempt).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_the_copies_are_worse_in_the_way_they_say() -> None:
    penguins = entries.penguins()
    assert len(penguins.rows) == 344
    holes = entries.with_holes(penguins, 0.125)
    assert 0.1 < sum(row.count("") for row in holes.rows) / (344 * 8) < 0.15
    assert sum(" mm" in cell for row in entries.with_units(penguins, entries.MILLIMETRES).rows for cell in row) > 300
    assert len(entries.repeated(penguins, 3).rows) == 344 + 115
    assert sorted({len(row) for row in entries.ragged(penguins, 40).rows}) == [6, 8]
    assert len(entries.complete(penguins).rows) == 333
    assert {row[0] for row in entries.among(penguins, "species", ["Gentoo"]).rows} == {"Gentoo"}
    commas = entries.with_decimal_commas(entries.trial(), "wtkg")
    assert commas.rows[0] == [cell.replace("89.8128", "89,8128") for cell in entries.trial().rows[0]]


def test_the_attacks_are_real(tmp_path: Path) -> None:
    attacks = {entry.team: entry.write(tmp_path) for entry in ENTRIES if entry.refused}
    with zipfile.ZipFile(attacks[entries.BOMBERS]) as archive:
        (member,) = archive.infolist()
        assert member.file_size > 900 * member.compress_size
    opcodes = [opcode.name for opcode, _, _ in pickletools.genops(attacks[entries.PICKLERS].read_bytes())]
    assert "REDUCE" in opcodes
    with pytest.raises(pa.ArrowInvalid):
        parquet.read_table(attacks[entries.HALVES])
