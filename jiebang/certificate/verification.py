#!/usr/bin/env python3
"""Verify a certificate of a dataset, offline: python verify.py [CERTIFICATE] --root KEY [--dataset FOLDER].

CERTIFICATE is the zip as it was handed over, or the folder it was unpacked to (by default the one this file lies in).
This file stands alone: it needs Python 3.9 or later, and for Ed25519 either the package `cryptography` or the program
`openssl` of version 3. `jiebang verify` runs the same code.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

STATEMENT = "application/vnd.in-toto+json"
KEYS = "application/vnd.jiebang.keys+json"
REVOCATIONS = "application/vnd.jiebang.revocations+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:jiebang:certificate:v1"

PARTS = ("certificate.json", "manifest.json", "rubric.json", "report.json", "keys.json", "root.pem", "revocations.json")
"""What is checked; `verify.py` and `README.txt` lie beside it and are named with their digests in the certificate."""
EXTRAS = ("verify.py", "README.txt")
LARGEST = 256 * 1024 * 1024
"""What all parts together may hold in bytes."""

REQUIRED_GATES = ("G1", "G3")
"""The gates that nothing is certified without: archives, sizes and names; file types."""

STEPS = {
    "bundle": "The certificate is complete",
    "root": "The root key is the issuer's",
    "keys": "The list of keys is signed by the root key",
    "key": "The signing key was valid when the certificate was issued",
    "signature": "The certificate is signed by that key",
    "manifest": "The manifest is the one certified",
    "dataset": "Every file of the dataset is as in the manifest",
    "rubric": "The rubric is the one certified",
    "report": "The report is the one certified",
    "score": "The score follows from the integers of the report",
    "expiry": "The certificate has not expired",
    "revocation": "The certificate is not revoked",
}
"""The steps, in their order, each with what it shows."""

File = tuple[str, int, str]
"""A file of a dataset: its path, its size in bytes, its SHA-256."""


class Wrong(Exception):
    """A step does not hold; the words say why."""


@dataclass(frozen=True)
class Step:
    """One step: `outcome` is `passed`, `failed`, `skipped` (not asked for) or `not_reached` (an earlier one failed)."""

    id: str
    outcome: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        """The step as JSON."""
        return {"step": self.id, "title": STEPS[self.id], "outcome": self.outcome, "detail": self.detail}


@dataclass(frozen=True)
class Verification:
    """What became of every step, and what is certified, if the signature was found good."""

    steps: tuple[Step, ...]
    statement: dict[str, Any] | None

    @property
    def passed(self) -> bool:
        """Whether no step failed."""
        return all(step.outcome in ("passed", "skipped") for step in self.steps)

    @property
    def failed(self) -> Step | None:
        """The step that failed."""
        return next((step for step in self.steps if step.outcome == "failed"), None)

    def as_dict(self) -> dict[str, Any]:
        """The verification as JSON."""
        failed = self.failed
        return {
            "valid": self.passed,
            "failed": failed.id if failed else None,
            "steps": [step.as_dict() for step in self.steps],
            "certificate": self.statement["predicate"] if self.statement else None,
        }


def unreadable(wrong: Wrong) -> Verification:
    """The verification of what could not be read at all."""
    first, *others = STEPS
    rest = (Step(name, "not_reached", "an earlier step failed") for name in others)
    return Verification((Step(first, "failed", str(wrong)), *rest), None)


def verify_bundle(
    parts: Mapping[str, bytes],
    *,
    root: bytes | str | None,
    now: datetime,
    files: Iterable[File] | None = None,
    keys: bytes | None = None,
    revocations: bytes | None = None,
) -> Verification:
    """Go through all steps until one fails.

    `root` is the issuer's root key (32 bytes) or its fingerprint, known from elsewhere. `files` are those of the
    dataset, if it is to be compared. `keys` is a list that may be newer than the one in the bundle: the newest decides.
    `revocations` is a list beside the one in the bundle: what one of them revokes is revoked.
    """
    return _Verifying(parts, root, _moment(now), files, keys, revocations).run()


class _Verifying:
    def __init__(
        self,
        parts: Mapping[str, bytes],
        root: bytes | str | None,
        now: str,
        files: Iterable[File] | None,
        keys: bytes | None,
        revocations: bytes | None,
    ) -> None:
        self.parts, self.root, self.now, self.files = parts, root, now, files
        self.key_lists = [raw for raw in (parts.get("keys.json"), keys) if raw is not None]
        self.revocation_lists = [raw for raw in (parts.get("revocations.json"), revocations) if raw is not None]
        self.known_root: dict[str, bytes] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.signed: dict[str, Any] = {}
        self.statement: dict[str, Any] | None = None

    def run(self) -> Verification:
        steps: list[Step] = []
        for name in STEPS:
            if any(step.outcome == "failed" for step in steps):
                steps.append(Step(name, "not_reached", "an earlier step failed"))
                continue
            if name == "dataset" and self.files is None:
                steps.append(Step(name, "skipped", "no dataset was given"))
                continue
            try:
                steps.append(Step(name, "passed", getattr(self, f"_{name}")()))
            except Wrong as wrong:
                steps.append(Step(name, "failed", str(wrong)))
            except (
                KeyError,
                TypeError,
                ValueError,
                AttributeError,
                IndexError,
                RecursionError,
                ArithmeticError,
            ) as odd:
                steps.append(Step(name, "failed", f"it is not of the expected shape ({type(odd).__name__}: {odd})"))
        return Verification(tuple(steps), self.statement)

    def _bundle(self) -> str:
        if lacking := [name for name in PARTS if name not in self.parts]:
            raise Wrong(f"{', '.join(lacking)} is not there")
        if strange := sorted(set(self.parts) - {*PARTS, *EXTRAS}):
            raise Wrong(f"{', '.join(strange)} does not belong to a certificate")
        return f"{len(self.parts)} parts"

    def _root(self) -> str:
        own = key_of_pem(self.parts["root.pem"])
        if self.root is None:
            raise Wrong(f"nothing says whose root key {fingerprint(own)} is: name the issuer's with --root")
        wanted = self.root if isinstance(self.root, str) else fingerprint(self.root)
        if fingerprint(own) != wanted:
            raise Wrong(f"it names the root key {fingerprint(own)}, the issuer's is {wanted}")
        self.known_root = {keyid(own): own}
        return f"root key {fingerprint(own)}"

    def _keys(self) -> str:
        lists = [json.loads(open_envelope(raw, KEYS, self.known_root)) for raw in self.key_lists]
        newest = max(lists, key=lambda each: int(each["version"]))
        self.keys = {str(key["keyid"]): key for key in newest["keys"]}
        return f"version {newest['version']} of {newest['issued_at']}, {len(self.keys)} keys"

    def _key(self) -> str:
        # Read before it is trusted, to know which key is to be looked at; the next step decides whether it is genuine.
        payload, ids = _unverified(self.parts["certificate.json"])
        issued = str(payload["predicate"]["issued_at"])
        found = [each for each in ids if each in self.keys]
        if not found:
            raise Wrong(f"no key of the list has the id {', '.join(ids)}")
        key = self.keys[found[0]]
        self._require_valid(key, "certificate", issued)
        self.signed = {found[0]: base64.b64decode(key["public"])}
        return f"key {found[0]}, valid from {key['not_before']} to {key['not_after']}"

    def _require_valid(self, key: Mapping[str, Any], use: str, moment: str) -> None:
        if use not in key["uses"]:
            raise Wrong(f"key {key['keyid']} is not for signing a {use}")
        if not str(key["not_before"]) <= moment < str(key["not_after"]):
            raise Wrong(f"key {key['keyid']} is valid from {key['not_before']} to {key['not_after']}, not at {moment}")

    def _signature(self) -> str:
        statement = json.loads(open_envelope(self.parts["certificate.json"], STATEMENT, self.signed))
        if (statement["_type"], statement["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise Wrong(f"it is a {statement['predicateType']}, not a certificate")
        self.statement = statement
        predicate = statement["predicate"]
        for name in EXTRAS:
            if name in self.parts and sha256(self.parts[name]) != predicate["beside"].get(name):
                raise Wrong(f"the {name} beside it is not the one that was handed over")
        return f"{predicate['certificate']} of {predicate['issued_at']}"

    def _predicate(self) -> dict[str, Any]:
        assert self.statement is not None
        predicate: dict[str, Any] = self.statement["predicate"]
        return predicate

    def _subject(self) -> str:
        assert self.statement is not None
        (subject,) = self.statement["subject"]
        return str(subject["digest"]["sha256"])

    def _manifest(self) -> str:
        _require_digest(self.parts["manifest.json"], self._subject())
        return f"sha256 {self._subject()}"

    def _dataset(self) -> str:
        wanted = {str(file["path"]): (int(file["bytes"]), str(file["sha256"])) for file in self._listed()}
        given: dict[str, tuple[int, str]] = {}
        for path, size, digest in self.files or ():
            if path in given:
                raise Wrong(f"{path} is there twice")
            given[path] = size, digest
        # Of an archive the engine leaves out the one folder that everything lies in; unpacked, it may be there.
        found = max(given, _without_top_folder(given), key=lambda each: len(wanted.keys() & each.keys()))
        for path in sorted({*wanted, *found}):
            if path not in found:
                raise Wrong(f"{path} is not there")
            if path not in wanted:
                raise Wrong(f"{path} does not belong to the dataset")
            if wanted[path] != found[path]:
                raise Wrong(f"{path} is not the file that was certified")
        return f"{len(wanted)} files"

    def _listed(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self.parts["manifest.json"])
        return listed

    def _rubric(self) -> str:
        policy = self._predicate()["policy"]
        _require_digest(self.parts["rubric.json"], policy["digest"]["sha256"])
        return f"{policy['id']} version {policy['version']}, sha256 {policy['digest']['sha256']}"

    def _report(self) -> str:
        digest = self._predicate()["report"]["digest"]["sha256"]
        _require_digest(self.parts["report.json"], digest)
        report = json.loads(self.parts["report.json"])
        if report["dataset"]["digest"] != self._subject():
            raise Wrong("it speaks of another dataset")
        if report["rubric"]["digest"] != self._predicate()["policy"]["digest"]["sha256"]:
            raise Wrong("it judges by another rubric")
        return f"sha256 {digest}"

    def _score(self) -> str:
        report, result = json.loads(self.parts["report.json"]), self._predicate()["result"]
        if refused := [gate["id"] for gate in report["gates"] if gate["status"] != "passed"]:
            raise Wrong(f"gate {', '.join(refused)} was not passed")
        ran = {gate["id"]: gate["status"] for gate in report["gates"]}
        if lacking := [gate for gate in REQUIRED_GATES if gate not in ran]:
            raise Wrong(f"gate {', '.join(lacking)} did not run")
        if {gate["id"]: gate["status"] for gate in self._predicate()["gates"] if gate["status"] != "not_run"} != ran:
            raise Wrong("the gates certified are not those of the report")
        worst = self._predicate()["policy"]["worst_table"]
        found = recompute(report["measures"], json.loads(self.parts["rubric.json"]), worst)
        for name in ("total", "grade", "coverage", "dimensions", "provisional"):
            for whose, said in (("report", report[name]), ("certificate", result[name])):
                if said != found[name]:
                    raise Wrong(f"the {whose} says {name} {said}, the integers give {found[name]}")
        scores = {each["id"]: each["score"] for each in report["combined"] if each["score"] is not None}
        if scores != found["scores"]:
            raise Wrong("the scores of the measures are not those that the integers give")
        if result["measures"] != certified_measures(found):
            raise Wrong("the measures certified are not those of the report")
        if found["provisional"]:
            raise Wrong("the grade is provisional")
        return f"total {found['total']}, grade {found['grade']}, coverage {found['coverage']}"

    def _expiry(self) -> str:
        issued, expires = str(self._predicate()["issued_at"]), str(self._predicate()["expires_at"])
        if not issued <= self.now < expires:
            raise Wrong(f"it is valid from {issued} to {expires}; now it is {self.now}")
        return f"valid until {expires}"

    def _revocation(self) -> str:
        lists = []
        for raw in self.revocation_lists:
            payload, ids = _unverified(raw)
            known = {each: base64.b64decode(self.keys[each]["public"]) for each in ids if each in self.keys}
            for each in known:
                self._require_valid(self.keys[each], "revocations", str(payload["as_of"]))
            lists.append(json.loads(open_envelope(raw, REVOCATIONS, known)))
        # What was revoked stays so: one list that says it is enough, whatever another one does not say.
        for entry in (entry for each in lists for entry in each["revoked"]):
            if entry["certificate"] == self._predicate()["certificate"]:
                raise Wrong(f"it was revoked at {entry['revoked_at']}: {entry['reason']}")
        newest, issued = max(str(each["as_of"]) for each in lists), str(self._predicate()["issued_at"])
        if newest < issued:
            raise Wrong(f"the list of revocations is of {newest}, before the certificate was issued at {issued}")
        return f"as of {newest}"


def recompute(
    measures: Sequence[Mapping[str, Any]], rubric: Mapping[str, Any], worst_table: Sequence[str]
) -> dict[str, Any]:
    """Total, grade, coverage, dimensions and scores that the results of the tables give under a rubric.

    Everything is an exact fraction until it is printed. A ratio pools its tables; a measure of `worst_table` takes its
    worst one. A measure without a ratio counts by its value of six places.
    """
    tables: dict[str, list[Mapping[str, Any]]] = {}
    for result in measures:
        tables.setdefault(str(result["id"]), []).append(result)
    combined = {name: _combined(results, name in worst_table) for name, results in tables.items()}
    scores: dict[str, Fraction] = {}
    dimensions: dict[str, Fraction] = {}
    counted_weight, total, measured, applicable = Fraction(0), Fraction(0), Fraction(0), Fraction(0)
    for dimension, rule in rubric["dimensions"].items():
        weight, criteria = Fraction(rule["weight"]), rule["measures"]
        whole = sum(Fraction(criterion["weight"]) for criterion in criteria.values())
        sum_of_scores = sum_of_weights = Fraction(0)
        for name, criterion in criteria.items():
            result = combined.get(name, {"status": "not_declared", "num": None, "den": None, "value": None})
            own = Fraction(criterion["weight"])
            measured += weight * own / whole if result["status"] == "measured" else 0
            applicable += weight * own / whole if result["status"] != "not_applicable" else 0
            score = _score_of(result, criterion)
            if score is not None:
                scores[name] = score
                sum_of_scores, sum_of_weights = sum_of_scores + own * score, sum_of_weights + own
        if sum_of_weights:
            dimensions[dimension] = sum_of_scores / sum_of_weights
            total, counted_weight = total + weight * dimensions[dimension], counted_weight + weight
    if not counted_weight:
        raise Wrong("nothing was measured")
    printed, least = decimal(total / counted_weight), min(dimensions.values())
    coverage = measured / applicable if applicable else Fraction(0)
    return {
        "total": printed,
        "grade": next(
            grade
            for grade, rule in sorted(rubric["grades"].items(), key=demands, reverse=True)
            if Fraction(printed) >= Fraction(rule["total"]) and least >= Fraction(rule["dimension"])
        ),
        "coverage": decimal(coverage),
        "provisional": coverage < Fraction(9, 10),
        "dimensions": {name: decimal(score) for name, score in dimensions.items()},
        "scores": {name: decimal(score) for name, score in scores.items()},
        "combined": combined,
    }


def demands(grade: tuple[str, Mapping[str, Any]]) -> tuple[Fraction, Fraction]:
    """What a grade asks for: the best is tried first, in whatever order the JSON has them."""
    return Fraction(grade[1]["total"]), Fraction(grade[1]["dimension"])


def certified_measures(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a certificate says of each measure that counts: numbers as decimal strings, None where there are none."""
    combined: Mapping[str, Mapping[str, Any]] = found["combined"]
    return {
        name: {
            "version": str(combined[name]["version"]),
            "status": combined[name]["status"],
            **{field: _text(combined[name][field]) for field in ("num", "den", "value")},
            "score": score,
        }
        for name, score in found["scores"].items()
        if name in combined
    }


def _text(number: object) -> str | None:
    return None if number is None else str(number)


def _combined(results: Sequence[Mapping[str, Any]], worst: bool) -> dict[str, Any]:
    for status in ("failed", "measured", "not_scanned", "not_declared", "not_applicable"):
        chosen = [result for result in results if result["status"] == status]
        if chosen:
            break
    if worst or chosen[0]["status"] != "measured":
        chosen = [min(chosen, key=_share)]
    ratios = [result for result in chosen if result["num"] is not None]
    if not ratios:
        return {**chosen[0], "num": None, "den": None}
    num, den = sum(result["num"] for result in ratios), sum(result["den"] for result in ratios)
    value = decimal(Fraction(num, den)) if chosen[0]["status"] == "measured" and den else chosen[0]["value"]
    return {**chosen[0], "num": num, "den": den, "value": value}


def _share(result: Mapping[str, Any]) -> Fraction:
    if result["num"] is None:
        return Fraction(result["value"] or 0)
    return Fraction(result["num"], result["den"]) if result["den"] else Fraction(0)


def _score_of(result: Mapping[str, Any], criterion: Mapping[str, Any]) -> Fraction | None:
    status = result["status"]
    if status == "measured":
        floor, target = Fraction(criterion["floor"]), Fraction(criterion["target"])
        return 100 * min(max((_share(result) - floor) / (target - floor), Fraction(0)), Fraction(1))
    if status in ("failed", "not_scanned") or (status == "not_declared" and criterion["required"]):
        return Fraction(0)
    return None


def decimal(number: Fraction) -> str:
    """A fraction of 0 or more as a decimal string of six places, half-even."""
    whole, part = divmod(round(number * 10**6), 10**6)
    return f"{whole}.{part:06d}"


def canonical(value: object) -> bytes:
    """The canonical JSON (RFC 8785) of a value without floating-point numbers."""
    return _canonical(value).encode("utf-8")


def _canonical(value: object) -> str:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: str(name).encode("utf-16-be"))
        return "{" + ",".join(f"{_canonical(str(name))}:{_canonical(value[name])}" for name in names) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= 2**53):
        raise ValueError("a number that is no exact integer")
    return json.dumps(value, ensure_ascii=False)


def sha256(raw: bytes) -> str:
    """SHA-256 in lower-case hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


def _without_top_folder(files: dict[str, tuple[int, str]]) -> dict[str, tuple[int, str]]:
    """The files without the one folder that all of them lie in, if there is one."""
    if len({path.partition("/")[0] for path in files}) != 1 or not all("/" in path for path in files):
        return files
    return {path.partition("/")[2]: fact for path, fact in files.items()}


def _require_digest(raw: bytes, digest: str) -> None:
    if sha256(raw) != digest:
        raise Wrong(f"its sha256 is {sha256(raw)}, certified is {digest}")


# --- keys and envelopes --------------------------------------------------------------------------------------------

_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410)."""


def keyid(public: bytes) -> str:
    """The id of a public key: the first 16 hexadecimal digits of its SHA-256."""
    return sha256(public)[:16]


def fingerprint(public: bytes) -> str:
    """The whole SHA-256 of a public key, by which people compare it."""
    return sha256(public)


def pem_of(public: bytes) -> bytes:
    """A public key as PEM."""
    body = base64.b64encode(_SPKI + public).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n".encode()


def key_of_pem(pem: bytes) -> bytes:
    """The 32 bytes of an Ed25519 public key in PEM."""
    lines = pem.decode("ascii", "replace").split("\n")
    try:
        public = base64.b64decode("".join(lines[1:-2]), validate=True)[len(_SPKI) :]
    except ValueError:
        public = b""
    if len(public) != 32 or pem_of(public) != pem:
        raise Wrong("it holds no Ed25519 public key in PEM")
    return public


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """What a DSSE envelope signs."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def open_envelope(raw: bytes, payload_type: str, keys: Mapping[str, bytes]) -> bytes:
    """The payload of a DSSE envelope that one of `keys` (by id) has signed; else raises `Wrong`.

    Exactly one spelling of an envelope is accepted, its canonical one, so that no bit of it can change unnoticed.
    """
    kind, payload, signatures = _read_envelope(raw)
    if kind != payload_type:
        raise Wrong(f"it is signed as {kind}, not as {payload_type}")
    known = [(keys[each], signature) for each, signature in signatures if each in keys]
    if not known:
        raise Wrong(f"it is signed by key {', '.join(each for each, _ in signatures)}, which is not known")
    if not all(is_signed(public, signature, pre_authentication(kind, payload)) for public, signature in known):
        raise Wrong("the signature does not fit: it was changed")
    return payload


def _read_envelope(raw: bytes) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    envelope = json.loads(raw)
    if canonical(envelope) != raw or set(envelope) != {"payload", "payloadType", "signatures"}:
        raise Wrong("it is not a DSSE envelope in its canonical form")
    signatures = [(str(entry["keyid"]), _base64(entry["sig"])) for entry in envelope["signatures"]]
    return str(envelope["payloadType"]), _base64(envelope["payload"]), signatures


def _base64(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise Wrong("it is not a DSSE envelope in its canonical form")
    return raw


def _unverified(raw: bytes) -> tuple[dict[str, Any], list[str]]:
    """The payload of an envelope and the ids of its keys, before any signature is looked at."""
    _, payload, signatures = _read_envelope(raw)
    return json.loads(payload), [each for each, _ in signatures]


def is_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature is good, by `cryptography` where it is installed, else by `openssl`."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return _openssl_says(public, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _openssl_says(public: bytes, signature: bytes, message: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        command = write_for_openssl(Path(folder), public, signature, message)
        try:
            return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            raise Wrong("neither the package `cryptography` nor the program `openssl` is here to check it") from None


def write_for_openssl(folder: Path, public: bytes, signature: bytes, message: bytes) -> list[str]:
    """Write what `openssl` needs to check a signature into a folder, and return the command to run there."""
    (folder / "key.pem").write_bytes(pem_of(public))
    (folder / "signature.bin").write_bytes(signature)
    (folder / "signed.bin").write_bytes(message)
    files = ["-inkey", "key.pem", "-sigfile", "signature.bin", "-in", "signed.bin"]
    return ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", *files]


# --- files ---------------------------------------------------------------------------------------------------------


_NO_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError, ValueError, LookupError)


def read_bundle(path: Path) -> dict[str, bytes]:
    """The parts of a certificate, from its zip or from a folder; raises `Wrong` for what is neither.

    Of a folder only the parts are looked at. What is too large, or a zip with anything else in it, is not read.
    """
    try:
        if path.is_dir():
            files = [path / name for name in (*PARTS, *EXTRAS) if (path / name).is_file()]
            _require_small(file.stat().st_size for file in files)
            return {file.name: file.read_bytes() for file in files}
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            for entry in entries:
                if entry.filename not in (*PARTS, *EXTRAS):
                    raise Wrong(f"{entry.filename[:80]} does not belong to a certificate")
                if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise Wrong(f"{entry.filename} is compressed in another way than by deflate")
            if len({entry.filename for entry in entries}) != len(entries):
                raise Wrong("a name stands in it twice")
            _require_small(entry.file_size for entry in entries)
            return {entry.filename: _content(archive, entry) for entry in entries}
    except _NO_ZIP as e:
        raise Wrong(f"it cannot be read: {e}") from None


def _require_small(sizes: Iterable[int]) -> None:
    if sum(sizes) > LARGEST:
        raise Wrong(f"its parts are larger than {LARGEST} bytes")


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    # Without a limit zipfile unpacks all that there is before it holds it to the size that the entry claims.
    with archive.open(entry) as stream:
        return stream.read(entry.file_size + 1)


_JUNK = (".ds_store", "thumbs.db", "desktop.ini")
"""What operating systems leave behind, which the engine takes for no part of a dataset."""


def dataset_files(path: Path) -> Iterator[File]:
    """The files of a dataset, in a folder or a single one; archives are not opened. Raises `Wrong` for a link in it."""
    if not path.exists():
        raise FileNotFoundError(path)
    for file in [path] if path.is_file() else sorted(_below(path)):
        name = path.name if path.is_file() else file.relative_to(path).as_posix()
        parts = name.split("/")
        if "__MACOSX" in parts or parts[-1].lower() in _JUNK:
            continue
        if file is not path and (file.is_symlink() or not file.is_file()):
            raise Wrong(f"{name} in the dataset is no plain file")
        digest = hashlib.sha256()
        with file.open("rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
        yield unicodedata.normalize("NFC", name), file.stat().st_size, digest.hexdigest()


def _below(folder: Path) -> Iterator[Path]:
    for each, folders, files in os.walk(folder, onerror=_not_read):
        yield from (Path(each, name) for name in files)
        yield from (Path(each, name) for name in folders if os.path.islink(os.path.join(each, name)))


def _not_read(error: OSError) -> None:
    raise error


def root_key(text: str) -> bytes | str:
    """The root key that `--root` names: a PEM file, or a fingerprint (64 hexadecimal digits) to compare with."""
    if len(text) == 64 and not set(text.lower()) - set("0123456789abcdef"):
        return text.lower()
    return key_of_pem(Path(text).read_bytes())


def printable(text: str) -> str:
    """Words of a stranger for a terminal: what is no letter, sign or plain space is written as Python escapes it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _moment(at: datetime) -> str:
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: UP017  (this file runs on Python 3.9)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 if every step passed, 1 if one failed, 2 for wrong use."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("certificate", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--root", help="the issuer's root key: a PEM file, or its SHA-256; get it from the issuer")
    parser.add_argument("--dataset", type=Path, help="the file or folder that is said to be certified")
    parser.add_argument("--keys", type=Path, help="a newer list of keys")
    parser.add_argument("--revocations", type=Path, help="a newer list of revocations")
    parser.add_argument("--for-openssl", type=Path, metavar="FOLDER", help="write what openssl needs, and the command")
    given = parser.parse_args(arguments)
    try:
        parts = read_bundle(given.certificate)
        root = root_key(given.root) if given.root else None
        files = None if given.dataset is None else list(dataset_files(given.dataset))
        keys = None if given.keys is None else given.keys.read_bytes()
        newer = None if given.revocations is None else given.revocations.read_bytes()
    except Wrong as wrong:
        sys.stdout.write(f"FAILED  {printable(str(wrong))}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    now = datetime.now(timezone.utc)  # noqa: UP017
    verification = verify_bundle(parts, root=root, now=now, files=files, keys=keys, revocations=newer)
    for step in verification.steps:
        sys.stdout.write(f"{step.outcome.upper():12}{STEPS[step.id]}: {printable(step.detail)}\n")
    if verification.statement is not None and given.for_openssl is not None:
        _write_for_openssl(parts, given.for_openssl)
    return 0 if verification.passed else 1


def _write_for_openssl(parts: Mapping[str, bytes], folder: Path) -> None:
    kind, payload, ((name, signature),) = _read_envelope(parts["certificate.json"])
    listed = json.loads(_read_envelope(parts["keys.json"])[1])["keys"]
    public = base64.b64decode(next(key["public"] for key in listed if key["keyid"] == name))
    folder.mkdir(parents=True, exist_ok=True)
    command = write_for_openssl(folder, public, signature, pre_authentication(kind, payload))
    sys.stdout.write(f"cd {os.fspath(folder)} && {' '.join(command)}\n")


if __name__ == "__main__":
    sys.exit(main())
