"""The commands of operators: what they refuse, and what the doctor can tell without an operator's key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command
from tests.unit.cli.platform import Platform, problem

SERVICES = ("ingest", "scoring", "ranking", "notify")


@pytest.mark.parametrize("command", [("list", "nosuch"), ("show", "nosuch", "x"), ("discard", "nosuch", "x")])
def test_a_service_without_dead_letters_is_told_from_those_with(
    logged_in: Command, platform: Platform, command: tuple[str, ...]
) -> None:
    ran = logged_in("ops", "dlq", *command)
    assert ran.code == 2
    assert "Choose from ingest, scoring, ranking, notify." in ran.err
    assert platform.requests == []


def test_the_doctor_leaves_out_what_the_key_may_not_read(logged_in: Command, platform: Platform) -> None:
    for service in SERVICES:
        refused = problem(403, "forbidden", "A key of the role team may not do this.")
        platform.answers["GET", f"/v1/ops/{service}/dead-letters"] = refused
        platform.answers["GET", f"/v1/ops/{service}/streams"] = refused
    ran = logged_in("ops", "doctor")
    assert ran.code == 0
    assert ran.out.count("not checked: needs an operator's key") == 2 * len(SERVICES)
    assert "✗" not in ran.out
    found = logged_in("ops", "doctor", "--json").json
    assert found["well"] is True
    letters = [check for check in found["checks"] if check["name"].endswith("dead letters")]
    assert [check["well"] for check in letters] == [None] * len(SERVICES)


def test_what_is_wrong_is_told_beside_what_was_not_checked(logged_in: Command, platform: Platform) -> None:
    for service in SERVICES:
        for what in ("dead-letters", "streams"):
            platform.answers["GET", f"/v1/ops/{service}/{what}"] = problem(403, "forbidden", "Not with this key.")
    platform.answers["GET", "/v1/keys"] = problem(403, "forbidden", "Nobody may read this.")
    ran = logged_in("ops", "doctor", "--json")
    assert ran.code == 1
    assert [check["name"] for check in ran.json["checks"] if check["well"] is False] == ["ingest"]


def test_an_archive_is_for_where_the_platform_is(
    jiebang: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jiebang.__file__", str(tmp_path / "site-packages" / "jiebang" / "__init__.py"))
    ran = jiebang("ops", "export", "season.tar")
    assert ran.code == 2
    assert "python -m shared.archive export FILE" in ran.err


def test_an_archive_is_checked_where_the_platform_is(jiebang: Command, tmp_path: Path) -> None:
    (tmp_path / "season.tar").write_bytes(b"nothing")
    assert jiebang("ops", "import", tmp_path / "season.tar", "--check").code == 1
    assert jiebang("ops", "import", tmp_path / "nowhere.tar", "--check").code == 2
