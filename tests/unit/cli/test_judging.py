"""`jiebang score` and `jiebang scan`, offline, on real data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import palmerpenguins
import pytest

from tests.unit.cli.conftest import Command

PENGUINS = Path(palmerpenguins.__file__).parent / "data" / "penguins.csv"


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    path = tmp_path / "challenge.yaml"
    path.write_text(
        "title: {en: Penguins}\n"
        "demand:\n"
        "  label: species\n"
        "  records: 1000\n"
        "  types: {species: text, body_mass_g: integer, sex: text}\n"
        "rubric: core-0\n"
    )
    return path


def test_json_has_the_golden_integers(jiebang: Command) -> None:
    ran = jiebang("score", PENGUINS, "--label", "species", "--json")
    assert ran.code == 0
    found = {one["id"]: (one["num"], one["den"], one["value"]) for one in ran.json["measures"]}
    assert found["COM-1"] == (2733, 2752, "0.993096")
    assert found["BAL-1"] == (None, None, "0.954982")
    assert ran.json["total"] == "98.118792"


def test_json_is_the_same_bytes_each_time(jiebang: Command) -> None:
    arguments = ("score", PENGUINS, "--label", "species", "--json")
    assert jiebang(*arguments).out == jiebang(*arguments, "--threads", 1).out


def test_words_say_total_grade_and_what_to_fix(jiebang: Command) -> None:
    ran = jiebang("score", PENGUINS, "--label", "species")
    assert ran.code == 0
    assert "98.118792" in ran.out
    assert "provisional" in ran.out
    assert "Fill in the 11 missing values of `sex`" in ran.out
    assert ran.err == ""


def test_the_page_is_written_where_asked(jiebang: Command, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert jiebang("score", PENGUINS, "--html", page).code == 0
    assert "<title>penguins.csv" in page.read_text(encoding="utf-8")


def test_the_page_opens_in_the_language_asked_for(jiebang: Command, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert jiebang("score", PENGUINS, "--html", page, "--lang", "zh").code == 0
    text = page.read_text(encoding="utf-8")
    assert '<html lang="zh-Hans">' in text
    assert "数据集质量报告</title>" in text
    assert 'id="in-zh" checked' in text


def test_an_earlier_version_is_compared_on_the_terminal_and_on_the_page(jiebang: Command, tmp_path: Path) -> None:
    earlier, page = tmp_path / "earlier.json", tmp_path / "report.html"
    earlier.write_text(jiebang("score", PENGUINS, "--json").out, encoding="utf-8")
    ran = jiebang("score", PENGUINS, "--label", "species", "--compare", earlier, "--html", page)
    assert ran.code == 0
    assert "Since the earlier version" in ran.out
    assert "BAL-1" in ran.out.partition("Since the earlier version")[2]
    assert "Since the earlier version" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["{}", '{"rubric": {"digest": "00"}, "total": null}', "[]", "no JSON"])
def test_what_is_no_report_is_not_compared(jiebang: Command, tmp_path: Path, text: str) -> None:
    other = tmp_path / "other.json"
    other.write_text(text, encoding="utf-8")
    ran = jiebang("score", PENGUINS, "--compare", other)
    assert ran.code == 2
    assert "other.json" in ran.err


def test_short_options_win_over_the_declaration_file(jiebang: Command, tmp_path: Path) -> None:
    declaration = tmp_path / "declare.yaml"
    declaration.write_text("label: island\nrequired: [species, sex]\n")
    ran = jiebang("score", PENGUINS, "--declare", declaration, "--label", "species", "--json")
    assert ran.json["declaration"]["label"] == "species"
    assert ran.json["declaration"]["required"] == ["species", "sex"]


def test_missing_markers_may_be_repeated(jiebang: Command) -> None:
    ran = jiebang("score", PENGUINS, "--missing", "NA", "--missing", "male", "--json")
    assert ran.json["declaration"]["missing"] == ["NA", "male"]


def test_a_challenge_decides_alone(jiebang: Command, challenge: Path) -> None:
    ran = jiebang("score", PENGUINS, "--challenge", challenge, "--json")
    assert ran.code == 0
    assert ran.json["challenge"] is True
    assert {one["id"]: one["den"] for one in ran.json["combined"]}["COM-1"] == 344 * 3
    ran = jiebang("score", PENGUINS, "--challenge", challenge, "--label", "island", "--json")
    assert ran.code == 2
    assert ran.json["code"] == "challenge_decides"


def test_nothing_at_the_path_is_wrong_use(jiebang: Command, tmp_path: Path) -> None:
    ran = jiebang("score", tmp_path / "nowhere.csv", "--json")
    assert ran.code in {1, 2}
    assert ran.json["code"]
    assert ran.json["detail"]


def test_a_wrong_key_of_a_declaration_names_the_nearest_and_the_line(jiebang: Command, tmp_path: Path) -> None:
    declaration = tmp_path / "declare.yaml"
    declaration.write_text("key: [species]\nlable: species\n")
    ran = jiebang("score", PENGUINS, "--declare", declaration)
    assert ran.code == 2
    assert "label" in ran.err
    assert "line 2" in ran.err


def test_an_unknown_rubric_is_wrong_use(jiebang: Command) -> None:
    ran = jiebang("score", PENGUINS, "--rubric", "core-99", "--json")
    assert ran.code == 2
    assert ran.json["code"] == "unknown_rubric"


def test_a_pickle_is_refused_with_the_reason_and_exit_1(jiebang: Command, tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps({"a": list(range(100))}))
    ran = jiebang("scan", path, "--json")
    assert ran.code == 1
    assert ran.json["passed"] is False
    ran = jiebang("score", path)
    assert ran.code == 1
    assert "Refused" in ran.out


def test_an_unknown_option_is_wrong_use(jiebang: Command) -> None:
    assert jiebang("score", PENGUINS, "--colour").code == 2


def test_the_installed_command_runs_from_any_folder(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "jiebang"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    finished = subprocess.run(
        [command, "score", PENGUINS], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
    assert "grade" in finished.stdout


def test_a_page_that_could_not_be_written_is_refused_before_the_work(jiebang: Command, tmp_path: Path) -> None:
    for page in (tmp_path / "nowhere" / "r.html", tmp_path):
        ran = jiebang("score", PENGUINS, "--html", page, "--json")
        assert ran.code == 2
        assert ran.json["code"] == "cannot_write"


def test_a_page_for_which_the_disk_has_no_room_does_not_take_the_result_with_it(jiebang: Command) -> None:
    ran = jiebang("score", PENGUINS, "--html", "/dev/full", "--json")
    assert ran.code == 3
    assert ran.json["total"]
    assert "cannot_write" in ran.err


@pytest.mark.parametrize("wrong", [["--colour"], ["--threads", "0"]])
def test_for_programs_wrong_use_is_json_too(jiebang: Command, wrong: list[str]) -> None:
    ran = jiebang("score", PENGUINS, "--json", *wrong)
    assert ran.code == 2
    assert ran.json["code"] == "wrong_usage"
    assert wrong[0] in ran.json["title"]


def test_for_programs_a_bug_is_json_too(jiebang: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("jiebang.judge.score", broken)
    ran = jiebang("score", PENGUINS, "--json")
    assert ran.code == 3
    assert ran.json["code"] == "unexpected"
    assert "Traceback" in ran.err
    assert jiebang("score", PENGUINS).code == 3


def test_a_terminal_without_unicode_ends_nothing(tmp_path: Path) -> None:
    command: list[str | Path] = [Path(sys.executable).parent / "jiebang", "score", PENGUINS]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONIOENCODING": "latin-1"}
    words = subprocess.run(command, env=environment, capture_output=True, timeout=60)
    assert words.returncode == 0, words.stderr
    assert b"grade" in words.stdout
    for_programs = subprocess.run([*command, "--json"], env=environment, capture_output=True, timeout=60)
    assert for_programs.returncode == 0
    for_programs.stdout.decode("utf-8")


def test_a_challenge_file_given_as_declaration_is_recognised(jiebang: Command, challenge: Path) -> None:
    ran = jiebang("score", PENGUINS, "--declare", challenge, "--json")
    assert ran.code == 2
    assert ran.json["code"] == "challenge_file"
    assert "--challenge" in ran.json["detail"]


def test_words_say_where(jiebang: Command) -> None:
    ran = jiebang("score", PENGUINS)
    assert "penguins.csv, record 9, sex: missing" in ran.out


@pytest.mark.parametrize("name", ["report.pdf", "report.json", "report"])
def test_a_page_is_not_written_under_the_name_of_something_else(jiebang: Command, tmp_path: Path, name: str) -> None:
    ran = jiebang("score", PENGUINS, "--html", tmp_path / name)
    assert ran.code == 2
    assert "ends in .html" in ran.err
    assert not (tmp_path / name).exists()
