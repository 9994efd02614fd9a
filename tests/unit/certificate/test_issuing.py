"""What may be certified, and the log of what was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jiebang
from jiebang.certificate.issuing import Certifiable, NotCertified
from jiebang.certificate.log import ISSUED, REVOKED, Entry, Head, LogBroken, check_chain, read_log, revocation_list
from jiebang.certificate.signing import KeyList, KeyRefused, SigningKey
from jiebang.certificate.verification import REVOCATIONS, keyid, open_envelope
from tests.unit.certificate.issued import DAY, NOW, issuer, report, write_dataset


def refused(raw: bytes) -> str:
    with pytest.raises(NotCertified) as refusal:
        Certifiable.of(raw)
    return refusal.value.code


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    facts: dict[str, Any] = json.loads(report())
    change(facts)
    return json.dumps(facts).encode()


def test_a_provisional_grade_is_not_certified_and_it_is_said_what_to_declare(tmp_path: Path) -> None:
    provisional = jiebang.score(write_dataset(tmp_path)).to_json().encode()
    with pytest.raises(NotCertified) as refusal:
        Certifiable.of(provisional)
    assert refusal.value.code == "provisional"
    assert "key" in refusal.value.detail


def test_what_a_gate_refused_is_not_certified(tmp_path: Path) -> None:
    (tmp_path / "model.csv").write_bytes(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins\x94.")
    assert refused(jiebang.score(tmp_path).to_json().encode()) == "gate_failed"
    assert refused(changed(lambda facts: facts["gates"][0].update(status="not_scanned"))) == "gate_failed"


@pytest.mark.parametrize("gate", ["G1", "G3"])
def test_what_did_not_go_through_the_gates_of_archives_and_types_is_not_certified(gate: str) -> None:
    def drop(facts: dict[str, Any]) -> None:
        facts["gates"] = [each for each in facts["gates"] if each["id"] != gate]

    with pytest.raises(NotCertified) as refusal:
        Certifiable.of(changed(drop))
    assert (refusal.value.code, refusal.value.fields["gates"]) == ("gate_failed", [gate])


def test_gates_that_did_not_run_are_named_among_what_is_not_claimed() -> None:
    def predicate(raw: bytes) -> dict[str, Any]:
        found: dict[str, Any] = Certifiable.of(raw).statement("crt_1", now=NOW, expires=NOW)["predicate"]
        return found

    run = {"G1", "G3"}
    said = predicate(report())
    gates = {gate["id"]: gate["status"] for gate in said["gates"]}
    assert gates == {f"G{n}": "passed" if f"G{n}" in run else "not_run" for n in range(1, 8)}
    assert all((gate in said["not_claimed"]["gates"]) == (gate not in run) for gate in gates)
    more = [{"id": f"G{n}", "status": "passed", "reasons": []} for n in range(1, 8)]
    assert "gates" not in predicate(changed(lambda facts: facts.update(gates=more)))["not_claimed"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda facts: facts.update(total="99.000000"), "score_differs"),
        (lambda facts: facts["measures"][0].update(num=0), "score_differs"),
        (lambda facts: facts["dataset"]["files"].pop(), "files_differ"),
        (lambda facts: facts["rubric"]["dimensions"]["balance"].update(weight="11"), "rubric_differs"),
        (lambda facts: facts.pop("measures"), "score_differs"),
        (lambda facts: facts.pop("dataset"), "not_a_report"),
    ],
)
def test_a_report_that_does_not_hold_together_is_not_certified(
    change: Callable[[dict[str, Any]], object], code: str
) -> None:
    assert refused(changed(change)) == code


def test_what_is_no_report_is_not_certified() -> None:
    assert refused(b"\xff") == refused(b"[]") == refused(b"{}") == "not_a_report"


def test_the_same_report_gives_the_same_bytes() -> None:
    first, second = (Certifiable.of(report()).issue("crt_1", issuer().key, now=NOW) for _ in range(2))
    assert first == second


def a_log(length: int) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(length):
        event, reason = (REVOKED, "withdrawn") if number % 3 == 2 else (ISSUED, None)
        entries.append(Head.of(entries).next(NOW + number * DAY, event, f"crt_{number}", "0" * 64, reason))
    return entries


def test_a_whole_log_contains_every_earlier_state_of_itself() -> None:
    entries = a_log(9)
    check_chain(entries)
    for length in range(10):
        check_chain(entries, head=Head.of(entries[:length]))


@given(st.data())
def test_an_entry_that_was_taken_out_changed_or_moved_is_found(data: st.DataObject) -> None:
    entries = a_log(8)
    signed = Head.of(entries)
    at = data.draw(st.integers(0, 7))
    match data.draw(st.sampled_from(["taken out", "changed", "moved"])):
        case "taken out":
            del entries[at]
        case "changed":
            entries[at] = replace(entries[at], reason="something else")
        case "moved":
            entries.insert(data.draw(st.integers(0, 7).filter(lambda to: to != at)), entries.pop(at))
    with pytest.raises(LogBroken):
        check_chain(entries, head=signed)


def test_a_log_that_was_written_anew_does_not_fit_a_list_that_was_signed() -> None:
    entries = a_log(4)
    rewritten: list[Entry] = []
    for entry in entries[:2] + entries[3:]:
        rewritten.append(Head.of(rewritten).next(NOW, entry.event, entry.certificate, entry.envelope, entry.reason))
    check_chain(rewritten)
    with pytest.raises(LogBroken) as broken:
        check_chain(rewritten, head=Head.of(entries))
    assert broken.value.code == "log_rewritten"


def test_a_log_is_read_as_it_was_written_and_a_damaged_line_is_named() -> None:
    entries = a_log(3)
    lines = [json.dumps(entry.as_dict()) for entry in entries]
    assert read_log("\n".join(lines)) == entries
    with pytest.raises(LogBroken) as broken:
        read_log("\n".join([lines[0], lines[1][:-5], lines[2]]))
    assert broken.value.fields["entry"] == 2


def test_a_list_of_revocations_says_when_it_was_made_and_from_which_log() -> None:
    entries = a_log(4)
    key = SigningKey.new()
    signed = revocation_list(entries, key, now=NOW)
    said = json.loads(open_envelope(signed, REVOCATIONS, {keyid(key.public): key.public}))
    assert said["as_of"] == "2026-11-01T12:00:00Z"
    assert [each["certificate"] for each in said["revoked"]] == ["crt_2"]
    assert said["log"] == {"size": 4, "head": entries[-1].digest}


def test_only_a_listed_key_signs_and_only_while_it_is_valid() -> None:
    own = issuer()
    own.keys.require(own.key, NOW)
    with pytest.raises(KeyRefused) as strange:
        own.keys.require(SigningKey.new(), NOW)
    assert strange.value.code == "unlisted_key"
    with pytest.raises(KeyRefused) as late:
        own.keys.require(own.key, NOW + 1000 * DAY)
    assert late.value.code == "key_not_valid"
    assert KeyList.read(own.keys.signed, own.root.public) == own.keys
    with pytest.raises(KeyRefused):
        KeyList.read(own.keys.signed, own.key.public)


def test_a_private_key_is_kept_for_its_owner_alone_and_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    key = SigningKey.new()
    key.save(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(file).public == key.public
    with pytest.raises(FileExistsError):
        key.save(file)
    file.write_text("nothing")
    with pytest.raises(KeyRefused):
        SigningKey.load(file)
