"""Issuing: from a report to a signed statement, and to the one file that is handed over."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import rfc8785

from jiebang.certificate import verification
from jiebang.certificate.signing import KeyList, SigningKey, moment
from jiebang.certificate.verification import (
    REQUIRED_GATES,
    File,
    Wrong,
    certified_measures,
    demands,
    recompute,
    sha256,
)
from jiebang.errors import JiebangError
from jiebang.measures import BY_ID
from jiebang.rubric import Rubric

CERTIFICATE_LIVES = timedelta(days=365)
"""How long a certificate is valid if nobody says otherwise."""

NOT_CLAIMED = {
    "true": "That what the records say is true: measures look at the data, not at the world.",
    "fit": "That the dataset is fit for any purpose, or that a model trained on it is good.",
    "lawful": "That anybody may use it: licences and sources are as declared, their truth was not looked into.",
    "anonymous": "That nobody can be identified: detectors find what they know.",
    "unmeasured": "Anything about what was not measured; those measures are listed under `not_measured`.",
    "later": "Anything about the files after they were read: only these bytes are certified.",
}
"""What a certificate does not say, which is part of what is signed; `gates` is added where some did not run."""

GATES = {
    "G1": "archives, sizes and names",
    "G2": "malware",
    "G3": "file types",
    "G4": "secrets",
    "G5": "sensitive personal information",
    "G6": "a licence for the use",
    "G7": "overlap with hidden data",
}
"""All gates, each of them with what it looks for; a report has those that ran."""

_README = """A certificate of the quality of a dataset.

certificate.json  what is certified, signed (in-toto Statement v1 in a DSSE envelope, Ed25519)
manifest.json     the files of the dataset with their sizes and digests; its digest is the subject
rubric.json       what the dataset was judged by
report.json       the whole report
keys.json         the issuer's signing keys, signed by the root key
root.pem          the root key; compare it with the issuer's own word, not with this file
revocations.json  what was revoked at its date, signed

To verify it without any network:

    python verify.py --root ROOT_KEY [--dataset FOLDER]
    jiebang verify CERTIFICATE.zip --root ROOT_KEY [--dataset FOLDER]

ROOT_KEY is the issuer's root key, or its SHA-256, which you have got from the issuer by another way than this file.
"""


class NotCertified(JiebangError):
    """A report that no certificate can be issued for."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """An issued certificate: its id, its envelope, and when it was issued and ends."""

    id: str
    envelope: bytes
    issued_at: datetime
    expires_at: datetime

    @property
    def digest(self) -> str:
        """The SHA-256 of the envelope, by which the log knows it."""
        return sha256(self.envelope)


@dataclass(frozen=True)
class Certifiable:
    """A report that may be certified, with the dataset's manifest; `of` is the only way to one."""

    report: bytes
    manifest: bytes
    digest: str
    rubric: Rubric
    facts: Mapping[str, Any]
    found: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, report: bytes, files: Sequence[File] | None = None) -> Certifiable:
        """Look through a report; `files` are the dataset's own, where the report does not list all of them.

        Raises `NotCertified`: a gate was not passed, the grade is provisional, the numbers do not follow from the
        integers, or the files are not those of the report.
        """
        try:
            facts = json.loads(report)
            digest, said = str(facts["dataset"]["digest"]), facts["rubric"]
            rubric = _rubric(said)
            listed = files or [(file["path"], file["bytes"], file["sha256"]) for file in facts["dataset"]["files"]]
            gates = {**dict.fromkeys(REQUIRED_GATES, "not_run"), **_ran(facts)}
            refused = [gate for gate, status in gates.items() if status != "passed"]
            total, provisional, declare = facts["total"], bool(facts["provisional"]), list(facts["declare"])
        except (KeyError, TypeError, ValueError) as odd:
            title = f"This is not a report ({type(odd).__name__}: {odd})."
            raise NotCertified("not_a_report", title, "Give what `jiebang score --json` printed.") from None
        if refused or total is None:
            title = f"Gate {', '.join(refused)} was not passed." if refused else "There is no total."
            raise NotCertified(
                "gate_failed",
                title,
                "Only what has passed G1, G3 and every other gate that ran is certified.",
                gates=refused,
            )
        if provisional:
            detail = " ".join(["Too little was measured for the grade to stand.", *declare])
            raise NotCertified("provisional", "The grade is provisional, and no such grade is certified.", detail)
        manifest = manifest_of(listed)
        if sha256(manifest) != digest:
            title = "The files are not all that the report is about."
            detail = "Give the dataset itself: a report lists some 10,000 files at most."
            raise NotCertified("files_differ", title, detail, expected=digest, received=sha256(manifest))
        if rubric.digest != said.get("digest"):
            raise NotCertified("rubric_differs", "The report's rubric is not of its digest.", "Judge it again.")
        try:
            found = recompute(facts["measures"], rubric.as_dict(), worst_table(rubric))
        except (Wrong, KeyError, TypeError, ValueError, ArithmeticError, LookupError) as wrong:
            title = f"The score does not follow from the report: {wrong}."
            raise NotCertified("score_differs", title, "Judge it again.") from None
        for name in ("total", "grade", "coverage", "dimensions", "provisional"):
            if facts.get(name) != found[name]:
                title = f"The report says {name} {facts.get(name)}, its integers give {found[name]}."
                raise NotCertified("score_differs", title, "Judge it again.")
        return cls(report, manifest, digest, rubric, facts, found)

    def statement(
        self, id: str, *, now: datetime, expires: datetime, about: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What is signed: an in-toto Statement whose subject is the manifest and whose predicate is the judgement.

        `about` says where the dataset was judged: ids of a challenge, a submission, a team.
        """
        facts, found = self.facts, self.found
        return {
            "_type": verification.STATEMENT_TYPE,
            "subject": [{"name": "manifest.json", "digest": {"sha256": self.digest}}],
            "predicateType": verification.PREDICATE_TYPE,
            "predicate": {
                "certificate": id,
                "issued_at": moment(now),
                "expires_at": moment(expires),
                "about": dict(about or {}),
                "policy": {
                    "id": self.rubric.id,
                    "version": str(self.rubric.version),
                    "digest": {"sha256": self.rubric.digest},
                    "worst_table": worst_table(self.rubric),
                },
                "declaration": {
                    "by": "challenge" if facts["challenge"] else "holder",
                    "digest": {"sha256": facts["declaration_digest"]},
                    "as_of": facts["as_of"],
                },
                "report": {"name": "report.json", "digest": {"sha256": sha256(self.report)}},
                "engine": {"name": "jiebang", "version": facts["engine"]["version"]},
                "gates": [{"id": gate, "status": status} for gate, status in self._gates().items()],
                "result": {
                    "total": found["total"],
                    "grade": found["grade"],
                    "coverage": found["coverage"],
                    "provisional": found["provisional"],
                    "dimensions": found["dimensions"],
                    "measures": certified_measures(found),
                },
                "not_claimed": self._not_claimed(),
                "not_measured": self._not_measured(),
                "beside": {name: sha256(content) for name, content in beside().items()},
            },
        }

    def _gates(self) -> dict[str, str]:
        """How each gate ended, `not_run` for those that the report knows nothing of."""
        return {**dict.fromkeys(GATES, "not_run"), **_ran(self.facts)}

    def _not_claimed(self) -> dict[str, str]:
        unrun = [f"{gate} ({GATES[gate]})" for gate, status in self._gates().items() if status == "not_run"]
        return {
            **NOT_CLAIMED,
            **({"gates": f"Anything about gates that did not run: {', '.join(unrun)}."} if unrun else {}),
        }

    def _not_measured(self) -> dict[str, str]:
        """The measures of the rubric that have no value, with how each ended."""
        combined = self.found["combined"]
        statuses = {name: combined[name]["status"] if name in combined else "not_declared" for name in self._listed()}
        return {name: status for name, status in statuses.items() if status != "measured"}

    def _listed(self) -> list[str]:
        return list(self.rubric.criteria)

    def issue(
        self,
        id: str,
        key: SigningKey,
        *,
        now: datetime,
        lives: timedelta = CERTIFICATE_LIVES,
        about: Mapping[str, str] | None = None,
    ) -> Certificate:
        """Sign it; the same arguments give the same bytes."""
        expires = now + lives
        statement = self.statement(id, now=now, expires=expires, about=about)
        return Certificate(id, key.sign(statement, verification.STATEMENT), now, expires)


def _ran(facts: Mapping[str, Any]) -> dict[str, str]:
    """The gates of a report, each with how it ended."""
    return {str(gate["id"]): str(gate["status"]) for gate in facts["gates"]}


def _rubric(said: Mapping[str, Any]) -> Rubric:
    """The rubric in a report, whose JSON has sorted the grades by name."""
    grades = dict(sorted(said["grades"].items(), key=demands, reverse=True))
    return Rubric.parse({**{name: value for name, value in said.items() if name != "digest"}, "grades": grades})


def worst_table(rubric: Rubric) -> list[str]:
    """The measures of a rubric by which a dataset counts as its worst table does."""
    return sorted(name for name in rubric.criteria if BY_ID[name].worst or BY_ID[name].derived)


def manifest_of(files: Sequence[File]) -> bytes:
    """The manifest of a dataset; its SHA-256 is the dataset's digest."""
    ordered = sorted(files, key=lambda file: file[0].encode("utf-8"))
    listed: list[Any] = [{"path": path, "bytes": size, "sha256": digest} for path, size, digest in ordered]
    return rfc8785.dumps(listed)


def beside() -> dict[str, bytes]:
    """What lies in a bundle for people: how to verify it, and the program that does."""
    return {"verify.py": Path(verification.__file__).read_bytes(), "README.txt": _README.encode()}


def own_parts(certificate: Certificate, judged: Certifiable) -> dict[str, bytes]:
    """What of a bundle never changes: all but the keys and the revocations, of which there may be newer lists."""
    return {
        **beside(),
        "certificate.json": certificate.envelope,
        "manifest.json": judged.manifest,
        "rubric.json": rfc8785.dumps(judged.rubric.as_dict()),
        "report.json": judged.report,
    }


def bundle(parts: Mapping[str, bytes], *, keys: KeyList, revocations: bytes) -> bytes:
    """The one file to hand over: a zip of the parts with the present lists."""
    root = verification.pem_of(keys.root)
    return pack({**parts, "keys.json": keys.signed, "root.pem": root, "revocations.json": revocations})


def pack(parts: Mapping[str, bytes]) -> bytes:
    """A zip of these parts; equal parts give equal bytes."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in sorted(parts):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, parts[name], zipfile.ZIP_DEFLATED)
    return written.getvalue()


def unpack(raw: bytes) -> dict[str, bytes]:
    """The parts of a zip that was made here."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
