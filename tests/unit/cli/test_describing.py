"""`jiebang describe`: drafts beside the data, and nothing of a person's overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "t.csv").write_text("a,b\n1,x\n2,y\n")
    return folder


def test_two_drafts_are_written_into_the_folder_and_told(jiebang: Command, folder: Path) -> None:
    ran = jiebang("describe", folder, "--json")
    assert ran.code == 0
    assert [Path(draft["path"]) for draft in ran.json["drafts"]] == [
        folder / "croissant.json",
        folder / "datapackage.json",
    ]
    assert "license" in ran.json["drafts"][0]["to_fill_in"]
    assert '"sha256"' in (folder / "croissant.json").read_text()


def test_a_person_is_told_what_to_fill_in(jiebang: Command, folder: Path) -> None:
    ran = jiebang("describe", folder, "--draft", "README.md")
    assert ran.code == 0
    assert "places to fill in" in ran.out
    assert "search for FILL IN" in ran.out


def test_what_is_there_is_not_overwritten_without_being_told_to(jiebang: Command, folder: Path) -> None:
    (folder / "croissant.json").write_text("mine")
    refused = jiebang("describe", folder, "--json")
    assert (refused.code, refused.json["code"]) == (2, "would_overwrite")
    assert (folder / "croissant.json").read_text() == "mine"
    assert not (folder / "datapackage.json").exists()
    assert jiebang("describe", folder, "--force").code == 0
    assert (folder / "croissant.json").read_text() != "mine"


def test_a_link_is_not_written_through(jiebang: Command, folder: Path, tmp_path: Path) -> None:
    (folder / "croissant.json").symlink_to(tmp_path / "elsewhere")
    assert jiebang("describe", folder).code == 2
    assert not (tmp_path / "elsewhere").exists()


def test_of_a_single_file_they_are_written_beside_it_or_where_asked(
    jiebang: Command, folder: Path, tmp_path: Path
) -> None:
    assert jiebang("describe", folder / "t.csv", "--draft", "datapackage.json").code == 0
    assert (folder / "datapackage.json").exists()
    assert jiebang("describe", folder, "--draft", "declare.yaml", "--output", tmp_path).code == 0
    assert (tmp_path / "declare.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (("--draft", "croissant.xml"), "unknown_draft", 2),
        (("--output", "/no/such/folder"), "cannot_write", 2),
    ],
)
def test_wrong_use_is_told(
    jiebang: Command, folder: Path, arguments: tuple[str, ...], code: str, exit_code: int
) -> None:
    ran = jiebang("describe", folder, *arguments, "--json")
    assert (ran.code, ran.json["code"]) == (exit_code, code)


def test_the_declaration_that_was_drafted_is_one(jiebang: Command, folder: Path, tmp_path: Path) -> None:
    jiebang("describe", folder, "--draft", "declare.yaml", "--output", tmp_path)
    ran = jiebang("score", folder, "--declare", tmp_path / "declare.yaml", "--json")
    assert ran.code == 0
    assert {one["id"]: one["num"] for one in ran.json["measures"]}["KEY-1"] == 2
