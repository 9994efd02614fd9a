"""The commands that speak to a platform, over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import palmerpenguins
import pytest

from tests.unit.cli.conftest import Command
from tests.unit.cli.platform import Platform, problem

PENGUINS = Path(palmerpenguins.__file__).parent / "data" / "penguins.csv"


def test_login_keeps_the_key_where_only_its_owner_can_read_it(
    jiebang: Command, platform: Platform, tmp_path: Path
) -> None:
    ran = jiebang("login", platform.url, "--key", "jb_team_k1_secret", "--json")
    assert ran.code == 0
    assert ran.json == {"url": platform.url, "role": "team", "challenges": 2}
    kept = tmp_path / "config" / "jiebang" / "login.json"
    assert json.loads(kept.read_text())["key"] == "jb_team_k1_secret"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert jiebang("challenge", "list", "--json").json["challenges"][0]["id"] == "chl_1"
    headers, _ = platform.asked("GET", "/v1/challenges")[-1]
    assert headers["authorization"] == "Bearer jb_team_k1_secret"


def test_without_a_login_one_is_told_to_log_in(jiebang: Command) -> None:
    ran = jiebang("challenge", "list")
    assert ran.code == 2
    assert "jiebang login" in ran.err


def test_a_server_that_is_not_there_ends_with_3(jiebang: Command) -> None:
    ran = jiebang("login", "http://127.0.0.1:9", "--key", "", "--json")
    assert ran.code == 3
    assert ran.json["code"] == "unreachable"


def test_something_that_is_no_key_is_not_sent(jiebang: Command, platform: Platform) -> None:
    ran = jiebang("login", platform.url, "--key", "hunter2", "--json")
    assert ran.code == 2
    assert platform.requests == []


def test_submit_hands_in_a_folder_and_waits_for_its_rank(
    logged_in: Command, platform: Platform, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "penguins.csv").write_bytes(PENGUINS.read_bytes())
    ran = logged_in("submit", folder, "--challenge", "chl_1", "--wait", "--json")
    assert ran.code == 0
    assert ran.json["state"] == "ranked"
    assert ran.json["total"] == "87.125000"
    assert [upload.filename for upload in platform.uploads.values()] == ["data.tar"]


def test_submit_says_what_became_of_it(logged_in: Command) -> None:
    ran = logged_in("submit", PENGUINS, "--challenge", "chl_1", "--wait")
    assert ran.code == 0
    assert "Received as" in ran.err
    assert "Attempt 2 of 5 today, 16 of 20 in all; 3 attempts left now." in ran.err
    assert "rank 1" in ran.out
    assert "87.125000" in ran.out


def test_who_has_not_joined_is_told_the_command(logged_in: Command, platform: Platform) -> None:
    route = "Register the team first (POST /v1/challenges/{id}/registrations)."
    platform.answers["POST", "/v1/submissions"] = problem(403, "not_registered", "Not registered.", detail=route)
    ran = logged_in("submit", PENGUINS, "--challenge", "chl_1")
    assert ran.code == 1
    assert "jiebang challenge join" in ran.err
    assert "POST" not in ran.err


def test_a_placeholder_that_was_pasted_is_wrong_use(jiebang: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIEBANG_URL", "http://127.0.0.1:…")
    ran = jiebang("challenge", "list", "--json")
    assert (ran.code, ran.json["code"]) == (2, "malformed_url")


def test_a_killed_submit_resumes_when_run_again(logged_in: Command, platform: Platform, tmp_path: Path) -> None:
    dataset = tmp_path / "large.csv"
    dataset.write_bytes(os.urandom(3_000_000))
    platform.hold_after = 1_000_000
    killed = subprocess.Popen([Path(sys.executable).parent / "jiebang", "submit", dataset, "--challenge", "chl_1"])
    deadline = time.monotonic() + 30
    while not (platform.uploads and len(platform.uploads["upl_1"].content) == 1_000_000):
        assert time.monotonic() < deadline, "the upload began"
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    platform.hold_after = None
    platform.release.set()
    ran = logged_in("submit", dataset, "--challenge", "chl_1", "--json")
    assert ran.code == 0
    assert len(platform.uploads) == 1
    offsets = [int(headers["upload-offset"]) for headers, _ in platform.asked("PATCH", "/v1/uploads/upl_1")]
    assert offsets == [0, 1_000_000]


def test_a_refused_submission_ends_with_1_and_says_why(logged_in: Command, platform: Platform) -> None:
    reasons = [
        {"code": "ratio_too_high", "sentence": "It unpacks to 1,032 times its size.", "gate": "G1", "path": None}
    ]
    rejected = {"id": "sub_1", "state": "rejected", "timeline": [], "reasons": reasons}
    platform.answers["GET", "/v1/submissions/sub_1"] = (200, rejected, {"ETag": '"1"'})
    ran = logged_in("status", "sub_1")
    assert ran.code == 1
    assert "1,032 times" in ran.out


def test_a_platform_that_failed_ends_with_3(logged_in: Command, platform: Platform) -> None:
    failed = {"id": "sub_1", "state": "failed", "timeline": [], "reasons": []}
    platform.answers["GET", "/v1/submissions/sub_1"] = (200, failed, {"ETag": '"1"'})
    assert logged_in("status", "sub_1", "--wait").code == 3


def test_no_quota_ends_with_1_and_says_when_it_returns(logged_in: Command, platform: Platform) -> None:
    platform.answers["POST", "/v1/submissions"] = problem(
        429, "quota_exhausted", "No attempt is left today.", quota_returns_at="2026-02-01T00:00:00+08:00"
    )
    ran = logged_in("submit", PENGUINS, "--challenge", "chl_1")
    assert ran.code == 1
    assert "2026-02-01" in ran.err


def test_a_receipt_verifies_offline_with_the_keys_kept_at_login(
    jiebang: Command, platform: Platform, tmp_path: Path
) -> None:
    jiebang("login", platform.url, "--key", "jb_team_k1_secret")
    receipt = tmp_path / "receipt.json"
    assert jiebang("submit", PENGUINS, "--challenge", "chl_1", "--receipt", receipt).code == 0
    asked = len(platform.requests)
    ran = jiebang("verify", receipt, "--dataset", PENGUINS, "--json")
    assert ran.code == 0
    assert ran.json["dataset"] is True
    assert ran.json["receipt"]["challenge"] == "chl_1"
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    assert jiebang("verify", receipt, "--dataset", other).code == 1
    assert len(platform.requests) == asked, "nobody was asked"


def test_a_changed_receipt_is_not_genuine(jiebang: Command, platform: Platform, tmp_path: Path) -> None:
    jiebang("login", platform.url, "--key", "jb_team_k1_secret")
    receipt = tmp_path / "receipt.json"
    jiebang("submit", PENGUINS, "--challenge", "chl_1", "--receipt", receipt)
    envelope = json.loads(receipt.read_text())
    envelope["payload"] = envelope["payload"][:-8] + "AAAAAAA="
    receipt.write_text(json.dumps(envelope))
    ran = jiebang("verify", receipt, "--json")
    assert ran.code == 1
    assert ran.json["code"] == "wrong_signature"


CHALLENGE = """\
title: {zh: 企鹅, en: Penguins}
sector: science
demand:
  label: species
  types: {species: text, body_mass_g: integer}
rubric: core-0
phases: [{name: preliminary, starts_at: 2026-01-01T00:00:00Z, ends_at: 2026-06-01T00:00:00Z}]
quota: {per_day: 5, total: 100}
"""


def test_a_challenge_is_checked_against_a_sample_before_it_is_published(
    logged_in: Command, platform: Platform, tmp_path: Path
) -> None:
    platform.answers["POST", "/v1/challenges"] = (201, {"id": "chl_9"}, {})
    file = tmp_path / "challenge.yaml"
    file.write_text(CHALLENGE)
    ran = logged_in("challenge", "publish", file, "--check", PENGUINS, "--json")
    assert ran.code == 0
    assert ran.json["id"] == "chl_9"
    ((_, body),) = platform.asked("POST", "/v1/challenges")
    assert body["title"] == {"zh": "企鹅", "en": "Penguins"}


def test_the_id_of_what_was_published_can_be_piped(logged_in: Command, platform: Platform, tmp_path: Path) -> None:
    platform.answers["POST", "/v1/challenges"] = (201, {"id": "chl_9"}, {})
    file = tmp_path / "challenge.yaml"
    file.write_text(CHALLENGE)
    assert logged_in("challenge", "publish", file).out == "chl_9\n"


def test_a_file_that_is_not_there_is_no_submission(logged_in: Command) -> None:
    ran = logged_in("diff", "nofile.json", "sub_1", "--json")
    assert (ran.code, ran.json["code"]) == (2, "no_such_path")


def test_what_a_demand_leaves_open_is_told_to_its_sponsor(
    logged_in: Command, platform: Platform, tmp_path: Path
) -> None:
    platform.answers["POST", "/v1/challenges"] = (201, {"id": "chl_9"}, {})
    file = tmp_path / "challenge.yaml"
    file.write_text(CHALLENGE)
    said = logged_in("challenge", "publish", file, "--check", PENGUINS).err
    assert "`records` is not declared" in said
    assert "`key` is not declared" in said
    assert "`label`" not in said
    file.write_text(CHALLENGE.replace("label: species", "label: species\n  key: [species]\n  records: 100"))
    assert "is not declared" not in logged_in("challenge", "publish", file, "--check", PENGUINS).err


def test_what_is_open_is_told_without_a_sample_too_and_table_by_table(
    logged_in: Command, platform: Platform, tmp_path: Path
) -> None:
    platform.answers["POST", "/v1/challenges"] = (201, {"id": "chl_9"}, {})
    file = tmp_path / "challenge.json"
    tables = {"a.csv": {"types": {"x": "text"}}, "b.csv": {"records": 5}}
    file.write_text(json.dumps({"demand": {"types": {"id": "text"}, "key": ["id"], "tables": tables}}))
    ran = logged_in("challenge", "publish", file)
    assert ran.out == "chl_9\n"
    said = ran.err
    assert "`records` of a.csv is not declared" in said
    assert "`label` is not declared" in said
    assert "of b.csv" not in said
    assert "`key`" not in said, "what all tables have in common is declared for each"


def test_a_challenge_that_its_sample_does_not_fit_is_not_published(
    logged_in: Command, platform: Platform, tmp_path: Path
) -> None:
    file = tmp_path / "challenge.yaml"
    file.write_text(CHALLENGE.replace("label: species", "label: species\n  key: [penguin_id]"))
    ran = logged_in("challenge", "publish", file, "--check", PENGUINS, "--json")
    assert ran.code == 2
    assert ran.json["code"] == "sample_does_not_fit"
    assert platform.asked("POST", "/v1/challenges") == []


def test_what_the_board_refuses_is_shown_with_its_line(logged_in: Command, platform: Platform, tmp_path: Path) -> None:
    platform.answers["POST", "/v1/challenges"] = problem(422, "wrong_value", "`sector` is not known.", path=["sector"])
    file = tmp_path / "challenge.yaml"
    file.write_text(CHALLENGE)
    ran = logged_in("challenge", "publish", file, "--json")
    assert ran.code == 2
    assert ran.json["line"] == 2


def test_a_team_is_registered_for_its_challenges_and_its_key_shown_once(
    logged_in: Command, platform: Platform, tmp_path: Path
) -> None:
    platform.answers["POST", "/v1/teams"] = (201, {"team": {"id": "team_1"}, "key": "jb_team_k2_s"}, {})
    platform.answers["POST", "/v1/challenges/chl_1/registrations"] = (201, {}, {})
    file = tmp_path / "team.yaml"
    file.write_text("name: {en: Ours}\norganisation: University\nchallenges: [chl_1]\n")
    ran = logged_in("team", "register", file)
    assert ran.code == 0
    assert ran.out.strip() == "jb_team_k2_s"
    ((_, team),) = platform.asked("POST", "/v1/teams")
    assert team == {"name": {"en": "Ours"}, "organisation": "University"}
    ((_, registration),) = platform.asked("POST", "/v1/challenges/chl_1/registrations")
    assert registration == {"team": "team_1"}


BOARD: dict[str, Any] = {
    "challenge": "chl_1",
    "phase": "preliminary",
    "provisional": True,
    "pending": 3,
    "as_of": "2026-01-31T10:00:00Z",
    "entries": [
        {"rank": 1, "team": "team_1", "total": "98.118792", "grade": "A", "coverage": "0.857955", "submissions": 2}
    ],
    "next": None,
}


def test_the_board_shows_names_totals_and_that_it_is_provisional(logged_in: Command, platform: Platform) -> None:
    platform.answers["GET", "/v1/leaderboards/chl_1"] = (200, BOARD, {})
    platform.answers["GET", "/v1/teams"] = (
        200,
        {"teams": [{"id": "team_1", "name": {"zh": "我们", "en": "Ours"}}]},
        {},
    )
    ran = logged_in("board", "chl_1")
    assert ran.code == 0
    for expected in ("我们 · Ours", "98.118792", "3 still being judged"):
        assert expected in ran.out


def test_a_board_of_a_moment_takes_the_readers_own_time(logged_in: Command, platform: Platform) -> None:
    platform.answers["GET", "/v1/leaderboards/chl_1"] = (200, BOARD, {})
    assert logged_in("board", "chl_1", "--at", "2026-01-31T18:00:00+08:00", "--json").code == 0
    assert logged_in("board", "chl_1", "--at", "yesterday", "--json").code == 2


def test_a_watched_board_is_drawn_again_when_it_changes(logged_in: Command, platform: Platform) -> None:
    second = BOARD | {"entries": [BOARD["entries"][0] | {"total": "99.000000"}], "provisional": False, "pending": 0}
    boards = [(200, BOARD, {"ETag": '"1"'}), (304, None, {}), (200, second, {"ETag": '"2"'})]
    platform.answers["GET", "/v1/leaderboards/chl_1"] = lambda body: boards.pop(0) if boards else (304, None, {})
    platform.answers["GET", "/v1/teams"] = (200, {"teams": [{"id": "team_1", "name": {"en": "Ours"}}]}, {})
    command: list[str | Path] = [Path(sys.executable).parent / "jiebang", "board", "chl_1", "--watch"]
    # A test run in the background has its interrupts ignored, and hands that down to what it starts.
    watching = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": "160"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert watching.stdout is not None
    seen = ""
    while "99.000000" not in seen:
        line = watching.stdout.readline()
        assert line, f"it ended early: {seen}"
        seen += line
    watching.send_signal(signal.SIGINT)
    assert watching.wait(20) == 130
    assert "98.118792" in seen
    tags = [headers.get("if-none-match") for headers, _ in platform.asked("GET", "/v1/leaderboards/chl_1")]
    assert tags[:3] == [None, '"1"', '"1"']


def test_two_versions_are_compared_measure_by_measure(jiebang: Command, tmp_path: Path) -> None:
    rows = PENGUINS.read_text().splitlines(keepends=True)
    worse = tmp_path / "worse.csv"
    worse.write_text("".join([*rows, *rows[1:20]]))
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(jiebang("score", PENGUINS, "--json").out)
    after.write_text(jiebang("score", worse, "--json").out)
    ran = jiebang("diff", before, after, "--json")
    assert ran.code == 0
    moved = {one["measure"]: (one["before"]["num"], one["after"]["num"]) for one in ran.json["measures"]}
    assert moved["DUP-1"] == (344, 344)
    assert moved["FMT-1"] == (344, 363)
    assert jiebang("diff", before, before).out.strip().endswith("Every measure is the same.")
    assert "DUP-1" in jiebang("diff", before, after).out


def test_dead_letters_are_listed_and_redriven(logged_in: Command, platform: Platform) -> None:
    for service in ("ingest", "scoring", "ranking", "notify"):
        platform.answers["GET", f"/v1/ops/{service}/dead-letters"] = (200, {"dead_letters": [], "next": None}, {})
    letter = {"id": "a:1:2", "type": "score.completed.v1", "attempts": 5, "error": "KeyError"}
    platform.answers["GET", "/v1/ops/ranking/dead-letters"] = (200, {"dead_letters": [letter], "next": None}, {})
    ran = logged_in("ops", "dlq", "list", "--json")
    assert ran.json["dead_letters"] == [{"service": "ranking", **letter}]
    platform.answers["POST", "/v1/ops/ranking/dead-letters/redrive"] = (
        200,
        {"redriven": ["a:1:2"], "failed": [], "held_back": []},
        {},
    )
    assert logged_in("ops", "dlq", "redrive", "ranking", "--json").code == 2
    assert logged_in("ops", "dlq", "redrive", "ranking", "--all", "--json").json["redriven"] == ["a:1:2"]
    ((_, body),) = platform.asked("POST", "/v1/ops/ranking/dead-letters/redrive")
    assert body == {"all": True}


def test_a_redrive_that_fails_again_ends_with_1(logged_in: Command, platform: Platform) -> None:
    platform.answers["POST", "/v1/ops/ranking/dead-letters/redrive"] = (
        200,
        {"redriven": [], "failed": [{"id": "x", "error": "KeyError"}], "held_back": ["y"]},
        {},
    )
    ran = logged_in("ops", "dlq", "redrive", "ranking", "x")
    assert ran.code == 1
    assert "KeyError" in ran.out


def test_a_rebuild_is_waited_for_and_its_comparison_told(logged_in: Command, platform: Platform) -> None:
    platform.answers["POST", "/v1/ops/ranking/rebuilds"] = (202, {"id": "rbd_1", "state": "queued"}, {})
    states = [{"id": "rbd_1", "state": "running"}, {"id": "rbd_1", "state": "done", "same": False, "boards": []}]
    platform.answers["GET", "/v1/ops/ranking/rebuilds/rbd_1"] = lambda body: (200, states.pop(0), {})
    ran = logged_in("ops", "rebuild", "--json")
    assert ran.code == 1
    assert ran.json["same"] is False


def test_requeue_finds_the_service_that_has_the_work(logged_in: Command, platform: Platform) -> None:
    platform.answers["POST", "/v1/ops/ingest/requeue/sub_1"] = problem(
        409, "transition_refused", "It is past its scan."
    )
    platform.answers["POST", "/v1/ops/scoring/requeue/sub_1"] = (202, {"id": "sub_1:abc", "state": "queued"}, {})
    assert logged_in("ops", "requeue", "sub_1", "--json").json["id"] == "sub_1:abc"


def test_why_shows_what_is_nested(logged_in: Command, platform: Platform) -> None:
    facts = {"waits_for": "scan", "submission": {"id": "sub_1"}, "scan_job": None}
    platform.answers["GET", "/v1/ops/ingest/why/sub_1"] = (200, facts, {})
    ran = logged_in("ops", "why", "sub_1")
    assert ran.code == 0
    assert "submission.id" in ran.out


HALTED = {
    "stream": "scoring.scores",
    "halted": [{"process": "ranking-1:1", "since": "2026-03-01T08:00:00.000000Z", "why": "KeyError('total')"}],
}


def test_halted_streams_are_listed_and_resumed(logged_in: Command, platform: Platform) -> None:
    for service in ("ingest", "scoring", "ranking", "notify"):
        read = {"streams": [{"stream": "board.teams", "halted": []}]}
        platform.answers["GET", f"/v1/ops/{service}/streams"] = (200, read, {})
    assert "No stream is halted" in logged_in("ops", "stream", "list").out
    platform.answers["GET", "/v1/ops/ranking/streams"] = (200, {"streams": [HALTED]}, {})
    assert logged_in("ops", "stream", "list", "--json").json["streams"] == [{"service": "ranking", **HALTED}]
    assert "KeyError('total')" in logged_in("ops", "stream", "list", "ranking").out
    assert len(logged_in("ops", "stream", "list", "--all", "--json").json["streams"]) == 4
    resumed = {"stream": "scoring.scores", "resumed": ["ranking-1:1"]}
    platform.answers["POST", "/v1/ops/ranking/streams/scoring.scores/resume"] = (202, resumed, {})
    assert logged_in("ops", "stream", "resume", "ranking", "scoring.scores", "--json").json == resumed
    assert logged_in("ops", "stream", "resume", "board", "scoring.scores").code == 2


def test_the_doctor_names_what_is_wrong(logged_in: Command, platform: Platform) -> None:
    for service in ("ingest", "scoring", "ranking", "notify"):
        platform.answers["GET", f"/v1/ops/{service}/dead-letters"] = (200, {"dead_letters": [], "next": None}, {})
        platform.answers["GET", f"/v1/ops/{service}/streams"] = (200, {"streams": [HALTED | {"halted": []}]}, {})
    assert logged_in("ops", "doctor", "--json").json["well"] is True
    platform.answers["GET", "/v1/ops/ranking/streams"] = (200, {"streams": [HALTED]}, {})
    ran = logged_in("ops", "doctor", "--json")
    assert [check["name"] for check in ran.json["checks"] if not check["well"]] == ["ranking: streams"]
    platform.answers["GET", "/v1/ops/ranking/streams"] = (200, {"streams": []}, {})
    platform.answers["GET", "/v1/ops/notify/dead-letters"] = (200, {"dead_letters": [{"id": "1"}], "next": None}, {})
    ran = logged_in("ops", "doctor", "--json")
    assert ran.code == 1
    assert [check["name"] for check in ran.json["checks"] if not check["well"]] == ["notify: dead letters"]


def test_nothing_is_handed_in_when_its_receipt_could_not_be_kept(
    logged_in: Command, platform: Platform, tmp_path: Path
) -> None:
    ran = logged_in("submit", PENGUINS, "--challenge", "chl_1", "--receipt", tmp_path / "no" / "r.json", "--json")
    assert ran.code == 2
    assert ran.json["code"] == "cannot_write"
    assert platform.requests == []


def test_the_quota_says_what_is_used_and_what_is_left(logged_in: Command, platform: Platform) -> None:
    ledger = {"challenge": "chl_1", "used_today": 5, "per_day": 5, "used_total": 7, "total": 50, "returns_at": None}
    platform.answers["GET", "/v1/quota"] = (200, ledger, {})
    ran = logged_in("quota", "chl_1")
    assert "used 5 of 5, 0 left" in ran.out
    assert "used 7 of 50, 43 left" in ran.out
    assert logged_in("quota", "--challenge", "chl_1", "--json").json == {"quota": [ledger]}


def test_a_receipt_of_a_file_names_it_when_its_folder_is_given(
    jiebang: Command, platform: Platform, tmp_path: Path
) -> None:
    jiebang("login", platform.url, "--key", "jb_team_k1_secret")
    receipt, folder = tmp_path / "receipt.json", tmp_path / "data"
    folder.mkdir()
    (folder / "penguins.csv").write_bytes(PENGUINS.read_bytes())
    jiebang("submit", PENGUINS, "--challenge", "chl_1", "--receipt", receipt)
    ran = jiebang("verify", receipt, "--dataset", folder, "--json")
    assert (ran.code, ran.json["code"]) == (2, "name_the_file")
    assert str(folder / "penguins.csv") in ran.json["detail"]


def test_an_absent_key_is_told_from_a_wrong_one(
    logged_in: Command, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.answers["GET", "/v1/challenges"] = problem(401, "unauthenticated", "This needs a valid API key.")
    wrong = logged_in("challenge", "list")
    assert wrong.code == 2
    assert "does not accept the key (from JIEBANG_KEY)" in wrong.err
    monkeypatch.delenv("JIEBANG_KEY")
    absent = logged_in("challenge", "list")
    assert absent.code == 2
    assert "none is known here" in absent.err


def test_an_id_is_never_broken(logged_in: Command, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    name = "chl_" + "0123456789" * 3
    posted = {"id": name, "title": {"en": "A title of many words, " * 5}, "sector": "science", "phases": []}
    platform.answers["GET", "/v1/challenges"] = (200, {"challenges": [posted], "next": None}, {})
    assert name in logged_in("challenge", "list").out


def test_a_page_of_a_submission_is_written_under_the_name_of_a_page_alone(logged_in: Command, tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    ran = logged_in("report", "sub_1", "--html", target, "--json")
    assert (ran.code, ran.json["code"]) == (2, "no_page")
    assert not target.exists()
