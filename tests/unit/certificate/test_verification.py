"""A certificate verifies as it was issued; whatever else it is, a step says so."""

from __future__ import annotations

import io
import json
import shutil
import tracemalloc
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiebang.certificate.issuing import Certifiable, bundle, own_parts
from jiebang.certificate.log import REVOKED, Head, revocation_list
from jiebang.certificate.signing import KeyList, ListedKey, SigningKey
from jiebang.certificate.verification import (
    PARTS,
    STEPS,
    File,
    Verification,
    Wrong,
    dataset_files,
    read_bundle,
    sha256,
    verify_bundle,
)
from jiebang.dataset.opening import open_dataset
from jiebang.result import GateStatus
from tests.unit.certificate.issued import DAY, FILES, NOW, certificate, handed_over, issuer, log, report, write_dataset


def parts_of(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


PARTS_ISSUED = parts_of(handed_over())


def verify(parts: Mapping[str, bytes] = PARTS_ISSUED, *, now: datetime = NOW + DAY, **given: Any) -> Verification:
    return verify_bundle(parts, now=now, **{"root": issuer().root.public, **given})


def test_a_certificate_verifies_with_its_dataset(tmp_path: Path) -> None:
    found = verify(files=list(dataset_files(write_dataset(tmp_path))))
    assert [step.outcome for step in found.steps] == ["passed"] * len(STEPS), found.failed
    assert found.statement is not None
    predicate = found.statement["predicate"]
    assert predicate["result"]["grade"] == json.loads(report())["grade"]
    assert predicate["result"]["measures"]["REF-1"] == {
        "version": "1",
        "status": "measured",
        "num": "100",
        "den": "100",
        "value": "1.000000",
        "score": "100.000000",
    }
    assert predicate["about"] == {"submission": "sub_1"}
    assert "true" in predicate["not_claimed"]


def test_it_verifies_without_the_dataset_and_says_that_it_was_not_compared() -> None:
    found = verify()
    assert found.passed
    assert {step.id: step.outcome for step in found.steps}["dataset"] == "skipped"


def failing(found: Verification) -> str:
    """The step that failed; after it nothing was looked at."""
    outcomes = [step.outcome for step in found.steps]
    at = outcomes.index("failed")
    assert set(outcomes[:at]) <= {"passed", "skipped"}
    assert set(outcomes[at + 1 :]) <= {"not_reached"}
    assert not found.passed
    return found.steps[at].id


@pytest.mark.parametrize("part", [*PARTS, "verify.py", "README.txt"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_in_any_part_is_found(part: str, data: st.DataObject) -> None:
    raw = bytearray(PARTS_ISSUED[part])
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    failing(verify({**PARTS_ISSUED, part: bytes(raw)}))


@pytest.mark.parametrize("part", ["certificate.json", "keys.json", "revocations.json", "root.pem"])
def test_bits_all_over_what_is_signed_or_trusted_count(part: str) -> None:
    whole = PARTS_ISSUED[part]
    step = max(1, len(whole) * 8 // 1500)  # the larger ones bit by bit would take a minute
    for bit in range(0, len(whole) * 8, step):
        raw = bytearray(whole)
        raw[bit // 8] ^= 1 << bit % 8
        failing(verify({**PARTS_ISSUED, part: bytes(raw)}))


def test_a_flipped_bit_of_the_zip_fails_or_changes_no_part(tmp_path: Path) -> None:
    file = tmp_path / "certificate.zip"
    unread = 0

    @settings(max_examples=150, deadline=None, database=None)
    @given(st.integers(0, len(handed_over()) * 8 - 1))
    def flip(bit: int) -> None:
        nonlocal unread
        raw = bytearray(handed_over())
        raw[bit // 8] ^= 1 << bit % 8
        file.write_bytes(raw)
        try:
            parts = read_bundle(file)
        except Wrong:
            unread += 1
            return
        if parts != PARTS_ISSUED:
            failing(verify(parts))

    flip()
    assert unread > 100, "nearly every bit is covered by a checksum"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_in_the_dataset_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = write_dataset(tmp_path_factory.mktemp("dataset"))
    file = folder / data.draw(st.sampled_from(sorted(FILES)))
    raw = bytearray(file.read_bytes())
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    file.write_bytes(raw)
    found = verify(files=list(dataset_files(folder)))
    assert failing(found) == "dataset"
    assert found.failed is not None
    assert file.name in found.failed.detail


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def opened(path: Path, scratch: Path) -> list[File]:
    return [(file.path, file.bytes, file.sha256) for file in open_dataset([path], scratch=scratch).files]


def test_the_verifier_leaves_out_what_the_engine_leaves_out_and_nothing_else(tmp_path: Path) -> None:
    folder = write_dataset(made(tmp_path / "top"))
    junk = ("__MACOSX/._towers.csv", ".DS_Store", "inner/.ds_store", "inner/Thumbs.db", "inner/desktop.ini")
    kept = (".hidden.csv", ".git/config", "inner/._more.csv", "inner/__macosx/a.csv", "Thumbs.db/a.csv", "e\u0301.csv")
    for name in (*junk, *kept):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a\n1\n")
    listed = sorted(dataset_files(folder))
    assert listed == sorted(opened(folder, made(tmp_path / "1")))
    assert len(listed) == len(FILES) + len(kept)
    assert list(dataset_files(folder / ".hidden.csv")) == opened(folder / ".hidden.csv", made(tmp_path / "2"))
    assert list(dataset_files(folder / ".DS_Store")) == []


def test_the_top_folder_of_an_unpacked_archive_is_left_out_as_the_engine_does(tmp_path: Path) -> None:
    write_dataset(made(tmp_path / "unpacked" / "top"))
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "unpacked")
    assert verify(files=opened(tmp_path / "packed.zip", made(tmp_path / "1"))).passed
    assert verify(files=list(dataset_files(tmp_path / "unpacked"))).passed
    assert verify(files=list(dataset_files(tmp_path / "unpacked" / "top"))).passed
    (tmp_path / "unpacked" / "more.csv").write_text("a\n1\n")
    assert failing(verify(files=list(dataset_files(tmp_path / "unpacked")))) == "dataset"


def test_two_files_of_one_name_are_not_taken_for_one(tmp_path: Path) -> None:
    files = list(dataset_files(write_dataset(tmp_path)))
    assert failing(verify(files=[(files[0][0], 4, "0" * 64), *files])) == "dataset"


@pytest.mark.parametrize("to", ["towers.csv", "inner"])
def test_a_link_in_the_dataset_is_no_file_of_it(tmp_path: Path, to: str) -> None:
    folder = write_dataset(made(tmp_path / "data"))
    (tmp_path / "inner").mkdir()
    (tmp_path / "towers.csv").write_text("a\n1\n")
    (folder / "link").symlink_to(tmp_path / to)
    with pytest.raises(Wrong, match="link in the dataset is no plain file"):
        list(dataset_files(folder))
    assert not all(gate.status is GateStatus.PASSED for gate in open_dataset([folder], scratch=tmp_path).gates)


def test_a_file_more_or_less_is_found(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    (tmp_path / "more.csv").write_text("a\n1\n")
    assert failing(verify(files=list(dataset_files(tmp_path)))) == "dataset"
    (tmp_path / "more.csv").unlink()
    (tmp_path / "towers.csv").unlink()
    assert failing(verify(files=list(dataset_files(tmp_path)))) == "dataset"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_not_there_is_missed(part: str) -> None:
    assert failing(verify({name: raw for name, raw in PARTS_ISSUED.items() if name != part})) == "bundle"


def test_a_part_that_does_not_belong_there_is_found() -> None:
    assert failing(verify({**PARTS_ISSUED, "setup.exe": b"MZ"})) == "bundle"


def zipped(file: Path, parts: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, raw in parts.items():
            archive.writestr(name, raw)
    return file


def test_of_a_zip_with_a_strange_name_nothing_is_read(tmp_path: Path) -> None:
    file = zipped(tmp_path / "c.zip", {**PARTS_ISSUED, "setup.exe": b"MZ" * 1000})
    raw = bytearray(file.read_bytes())
    at = raw.index(b"certificate.json") + len("certificate.json")
    raw[at : at + 8] = bytes(8)  # reading this part fails, and would be told instead
    file.write_bytes(raw)
    with pytest.raises(Wrong, match=r"setup\.exe does not belong"):
        read_bundle(file)


def test_parts_that_are_too_large_together_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, folder = zipped(tmp_path / "c.zip", PARTS_ISSUED), tmp_path / "folder"
    folder.mkdir()
    for name, raw in PARTS_ISSUED.items():
        (folder / name).write_bytes(raw)
    whole = sum(map(len, PARTS_ISSUED.values()))
    monkeypatch.setattr("jiebang.certificate.verification.LARGEST", whole)
    assert read_bundle(file) == read_bundle(folder) == PARTS_ISSUED
    monkeypatch.setattr("jiebang.certificate.verification.LARGEST", whole - 1)
    for bundle_of in (file, folder):
        with pytest.raises(Wrong, match="larger than"):
            read_bundle(bundle_of)


def test_a_part_that_unpacks_to_more_than_it_claims_takes_no_more_memory(tmp_path: Path) -> None:
    zeros = 64 * 1024 * 1024
    file = zipped(tmp_path / "c.zip", {"report.json": bytes(zeros)})
    raw = file.read_bytes()
    assert raw.count(zeros.to_bytes(4, "little")) == 2
    file.write_bytes(raw.replace(zeros.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    tracemalloc.start()
    try:
        with pytest.raises(Wrong):
            read_bundle(file)
        assert tracemalloc.get_traced_memory()[1] < zeros / 8
    finally:
        tracemalloc.stop()
    with pytest.raises(Wrong, match="than by deflate"):
        read_bundle(zipped(file, PARTS_ISSUED, zipfile.ZIP_BZIP2))


def test_a_root_key_that_nobody_vouches_for_is_not_trusted() -> None:
    found = verify(root=None)
    assert failing(found) == "root"
    assert found.failed is not None
    assert "--root" in found.failed.detail


def test_a_forger_with_a_root_key_of_his_own_is_found() -> None:
    root, key = SigningKey.new(), SigningKey.new()
    keys = KeyList.sign(root, [ListedKey(key.public, NOW - DAY, NOW + DAY)], version=1, now=NOW)
    judged = Certifiable.of(report())
    own = own_parts(judged.issue("crt_1", key, now=NOW), judged)
    forged = bundle(own, keys=keys, revocations=revocation_list((), key, now=NOW))
    assert failing(verify(parts_of(forged))) == "root"
    assert failing(verify({**parts_of(forged), "root.pem": PARTS_ISSUED["root.pem"]})) == "keys"


def changed(**fields: Any) -> dict[str, bytes]:
    """The bundle with other fields in the statement, signed by the issuer's key."""
    judged = Certifiable.of(report())
    statement = judged.statement("crt_1", now=NOW, expires=NOW + 50 * DAY)
    statement["predicate"].update(fields)
    return {**PARTS_ISSUED, "certificate.json": issuer().key.sign(statement, "application/vnd.in-toto+json")}


def test_a_signed_result_that_does_not_follow_from_the_integers_is_found() -> None:
    judged = Certifiable.of(report())
    result = judged.statement("crt_1", now=NOW, expires=NOW)["predicate"]["result"]
    assert verify(changed(result=result)).passed
    assert failing(verify(changed(result={**result, "total": "99.999999"}))) == "score"
    assert failing(verify(changed(result={**result, "grade": "A+"}))) == "score"
    measures = {**result["measures"], "COM-1": {**result["measures"]["COM-1"], "num": "1"}}
    assert failing(verify(changed(result={**result, "measures": measures}))) == "score"


def test_a_report_whose_numbers_do_not_follow_from_its_integers_is_found() -> None:
    facts = json.loads(report())
    facts["total"] = "100.000000"
    raw = json.dumps(facts).encode()
    parts = changed(report={"name": "report.json", "digest": {"sha256": sha256(raw)}})
    assert failing(verify({**parts, "report.json": raw})) == "score"


def test_gates_that_the_report_does_not_show_are_found() -> None:
    gates = Certifiable.of(report()).statement("crt_1", now=NOW, expires=NOW)["predicate"]["gates"]
    assert verify(changed(gates=gates)).passed
    assert failing(verify(changed(gates=[{**gate, "status": "passed"} for gate in gates]))) == "score"
    facts = json.loads(report())
    facts["gates"] = [gate for gate in facts["gates"] if gate["id"] != "G3"]
    raw = json.dumps(facts).encode()
    passed = [gate for gate in gates if gate["id"] == "G1"]
    parts = changed(gates=passed, report={"name": "report.json", "digest": {"sha256": sha256(raw)}})
    assert failing(verify({**parts, "report.json": raw})) == "score"


def test_it_is_valid_until_it_expires_and_not_before_it_was_issued() -> None:
    assert verify(now=NOW).passed
    assert verify(now=NOW + 50 * DAY - DAY / 86400).passed
    assert failing(verify(now=NOW + 50 * DAY)) == "expiry"
    assert failing(verify(now=NOW - DAY)) == "expiry"


def test_a_newer_list_of_revocations_decides_even_against_the_one_in_the_bundle() -> None:
    entry = Head.of(log()).next(NOW + DAY, REVOKED, "crt_1", certificate().digest, "the holder withdrew it")
    newer = revocation_list((*log(), entry), issuer().key, now=NOW + DAY)
    found = verify(revocations=newer)
    assert failing(found) == "revocation"
    assert found.failed is not None
    assert "the holder withdrew it" in found.failed.detail
    older = {**PARTS_ISSUED, "revocations.json": newer}
    assert failing(verify(older, revocations=PARTS_ISSUED["revocations.json"])) == "revocation"


def test_a_list_of_revocations_signed_by_somebody_else_is_found() -> None:
    forged = revocation_list(log(), SigningKey.new(), now=NOW + DAY)
    assert failing(verify(revocations=forged)) == "revocation"


def test_a_list_of_revocations_from_before_the_certificate_says_nothing_of_it() -> None:
    early = revocation_list((), issuer().key, now=NOW - DAY / 86400)
    parts = {**PARTS_ISSUED, "revocations.json": early}
    assert failing(verify(parts)) == "revocation"
    assert failing(verify(parts, revocations=early)) == "revocation"
    assert verify(parts, revocations=PARTS_ISSUED["revocations.json"]).passed
    assert verify(revocations=early).passed, "the list in the bundle is newer"


def test_after_a_rotation_old_certificates_stay_valid_and_the_old_key_signs_no_more() -> None:
    own = issuer()
    old = ListedKey(own.key.public, NOW - DAY, NOW + DAY)
    new = SigningKey.new()
    listed = ListedKey(new.public, NOW + DAY, NOW + 100 * DAY)
    rotated = KeyList.sign(own.root, [old, listed], version=2, now=NOW + DAY)
    assert verify(keys=rotated.signed).passed
    judged = Certifiable.of(report())
    late = judged.issue("crt_2", own.key, now=NOW + 2 * DAY)
    parts = {**PARTS_ISSUED, "certificate.json": late.envelope}
    assert failing(verify(parts, now=NOW + 3 * DAY, keys=rotated.signed)) == "key"
    fresh = judged.issue("crt_3", new, now=NOW + 2 * DAY)
    newer = {"keys": rotated.signed, "revocations": revocation_list(log(), new, now=NOW + 2 * DAY)}
    assert verify({**parts, "certificate.json": fresh.envelope}, now=NOW + 3 * DAY, **newer).passed


def test_a_key_that_a_newer_list_no_longer_has_is_worth_nothing() -> None:
    own = issuer()
    emptied = KeyList.sign(own.root, [], version=2, now=NOW + DAY)
    assert failing(verify(keys=emptied.signed)) == "key"


def test_a_key_for_something_else_signs_no_certificate() -> None:
    own = issuer()
    listed = ListedKey(own.key.public, NOW - DAY, NOW + 100 * DAY, ("revocations",))
    keys = KeyList.sign(own.root, [listed], version=1, now=NOW)
    assert failing(verify({**PARTS_ISSUED, "keys.json": keys.signed})) == "key"
