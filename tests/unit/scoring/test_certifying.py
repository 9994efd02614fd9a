"""A ranked submission is certified once, and what was certified can be revoked but never be made undone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import jiebang
from jiebang.certificate.issuer import Issuer
from jiebang.certificate.issuing import unpack
from jiebang.certificate.log import Entry, check_chain, head_of
from jiebang.certificate.signing import SigningKey
from jiebang.certificate.verification import Verification, fingerprint, verify_bundle
from services.scoring import certifying
from services.scoring.certificate import AlreadyRevoked, certificate_id
from services.scoring.certificates_api import create_certificates_router
from services.scoring.certifying import Authority, NoValidKey, Registry
from services.scoring.score import Score, Verdict
from services.scoring.store import MemoryScores
from services.scoring.store_certificates import MemoryCertificateLog, MemoryCertificates
from shared import problems
from shared.auth import Principal
from shared.contracts.board import Role
from shared.contracts.envelope import Event
from shared.contracts.intake import SubmissionRanked
from shared.contracts.registry import event_class
from shared.contracts.scoring import CertificateIssued, CertificateRevoked
from shared.failures import DependencyDown
from shared.ids import CredentialId, OwnerId, SystemIds
from shared.objects import Objects
from shared.settings import SettingsError
from tests.fakes import FixedClock
from tests.unit.certificate.issued import report, write_dataset
from tests.unit.scoring.test_score import ACCEPTED, ASSIGNMENT


def ranked() -> Event[SubmissionRanked]:
    """The submission was ranked; told anew each time."""
    about = {name: getattr(ACCEPTED, name) for name in ACCEPTED.__class__.model_fields if name != "dataset_digest"}
    fact = SubmissionRanked(**{**about, "rank": 1, "total": "87.125000"})
    return event_class(SubmissionRanked)(
        id=SystemIds().new("evt"),
        source="/ingest",
        type=fact.type,
        subject=fact.subject,
        time=ACCEPTED.received_at,
        sequence=4,
        partitionkey=fact.key,
        correlationid=fact.correlation,
        data=fact,
    )


class LosesItsWay(MemoryCertificateLog):
    """A log whose database is away for as long as it is told."""

    away = False

    async def append(self, *arguments: Any, **more: Any) -> None:
        if self.away:
            raise DependencyDown("the database is away")
        await super().append(*arguments, **more)


@dataclass
class Desk:
    """Everything that certifying needs, with a submission that was scored."""

    objects: Objects
    folder: Path
    clock: FixedClock = field(default_factory=FixedClock)
    scores: MemoryScores = field(default_factory=MemoryScores)
    certificates: MemoryCertificates = field(default_factory=MemoryCertificates)
    log: LosesItsWay = field(default_factory=LosesItsWay)

    @property
    def registry(self) -> Registry:
        return Registry(self.certificates, self.log, self.objects, Authority.load(self.folder), self.clock)

    async def score(self, raw: bytes) -> Score:
        facts = json.loads(raw)
        assignment = replace(
            ASSIGNMENT, dataset_digest=facts["dataset"]["digest"], rubric_digest=facts["rubric"]["digest"]
        )
        found = Verdict(
            facts["total"],
            facts["dimensions"],
            facts["coverage"],
            facts["grade"],
            facts["provisional"],
            facts["dataset"]["digest"],
            "0.1.0",
        )
        await self.objects.put(assignment.report_key("report.json"), raw)
        score, told = Score.completed(
            assignment, found, report_sha256="1" * 64, page_sha256="2" * 64, at=self.clock.now()
        )
        await self.scores.record(score, told)
        return score

    async def certify(self) -> None:
        await certifying.certify(ranked(), scores=self.scores, registry=self.registry)

    async def verify(self, submission: str = "sub_1") -> Verification:
        found = await self.certificates.named(submission)
        authority = Authority.load(self.folder)
        assert found is not None
        assert authority is not None
        raw = await certifying.handed_over(found, registry=self.registry, authority=authority)
        return verify_bundle(unpack(raw), root=authority.keys().root, now=self.clock.now())

    def entries(self) -> list[Entry]:
        return self.log._entries


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    made = Desk(Objects((tmp_path / "objects").as_uri()), tmp_path / "issuer")
    Issuer.create(made.folder, now=made.clock.now())
    return made


async def test_a_ranked_submission_has_one_certificate_however_often_it_is_told(desk: Desk) -> None:
    score = await desk.score(report())
    for _ in range(3):
        await desk.certify()
    [issued] = desk.certificates.facts
    assert isinstance(issued, CertificateIssued)
    assert (issued.submission, issued.team, issued.challenge) == ("sub_1", "team_1", "chl_1")
    assert issued.certificate == certificate_id(score.assignment.id)
    [entry] = desk.entries()
    assert (entry.event, entry.certificate, entry.envelope) == ("issued", issued.certificate, issued.envelope_sha256)
    found = await desk.verify()
    assert found.passed, found.failed
    assert found.statement is not None
    assert found.statement["predicate"]["about"] == {
        "submission": "sub_1",
        "challenge": "chl_1",
        "phase": "preliminary",
        "team": "team_1",
    }


async def test_a_provisional_grade_has_none(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    await desk.score(jiebang.score(write_dataset(tmp_path / "data")).to_json().encode())
    await desk.certify()
    assert desk.certificates.facts == []


async def test_a_report_whose_numbers_do_not_hold_together_has_none(desk: Desk) -> None:
    facts = json.loads(report())
    facts["total"] = "100.000000"
    await desk.score(json.dumps(facts).encode())
    await desk.certify()
    assert desk.certificates.facts == []
    assert desk.entries() == []


async def test_a_submission_that_was_never_scored_has_none(desk: Desk) -> None:
    await desk.certify()
    assert desk.certificates.facts == []


async def test_without_an_issuer_none_is_issued_and_a_folder_that_is_none_stops_the_start(
    desk: Desk, tmp_path: Path
) -> None:
    await desk.score(report())
    registry = replace(desk.registry, authority=Authority.load(None))
    await certifying.certify(ranked(), scores=desk.scores, registry=registry)
    assert desk.certificates.facts == []
    with pytest.raises(SettingsError, match="JIEBANG_SCORING_ISSUER"):
        Authority.load(tmp_path)


async def test_keys_that_have_run_out_are_waited_for(desk: Desk) -> None:
    await desk.score(report())
    desk.clock.moment += timedelta(days=3000)
    with pytest.raises(NoValidKey):
        await desk.certify()
    issuer = Issuer.open(desk.folder)
    issuer.add_key(SigningKey.load(desk.folder / "root-key.pem"), now=desk.clock.now())
    await desk.certify()
    assert (await desk.verify()).passed


async def test_what_a_process_that_died_has_left_out_of_the_log_is_written(desk: Desk) -> None:
    await desk.score(report())
    desk.log.away = True
    with pytest.raises(DependencyDown):
        await desk.certify()
    assert len(desk.certificates.facts) == 1, "the certificate is there"
    assert desk.entries() == [], "the log lacks it"
    desk.log.away = False
    assert await certifying.write_unlogged(desk.registry) == 1
    assert await certifying.write_unlogged(desk.registry) == 0
    assert [entry.event for entry in desk.entries()] == ["issued"]


async def test_a_revoked_certificate_says_so_and_stays_in_the_log(desk: Desk) -> None:
    await desk.score(report())
    await desk.certify()
    desk.clock.moment += timedelta(days=1)
    for _ in range(2):
        revoked = await certifying.revoke("sub_1", "The rights were not the team's.", registry=desk.registry)
        assert revoked is not None
    assert [type(fact) for fact in desk.certificates.facts] == [CertificateIssued, CertificateRevoked]
    assert [entry.event for entry in desk.entries()] == ["issued", "revoked"]
    check_chain(desk.entries())
    found = await desk.verify()
    assert found.failed is not None
    assert found.failed.id == "revocation"
    assert "The rights were not the team's." in found.failed.detail
    with pytest.raises(AlreadyRevoked):
        await certifying.revoke("sub_1", "Another reason.", registry=desk.registry)
    assert await certifying.revoke("sub_9", "Nothing.", registry=desk.registry) is None


class Caller:
    """Knows every key as that of one caller."""

    def __init__(self) -> None:
        self.role, self.owner = Role.TEAM, "team_1"

    async def principal(self, header: str) -> Principal:
        return Principal(CredentialId("key_a"), OwnerId(self.owner), self.role)


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
async def http(desk: Desk, caller: Caller) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    problems.install(app)
    app.state.authenticator = caller
    app.include_router(create_certificates_router(desk.registry))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"Authorization": "Bearer it"}
    ) as client:
        yield client


@pytest.mark.parametrize(
    ("role", "owner", "status"),
    [
        (Role.TEAM, "team_1", 200),
        (Role.TEAM, "team_2", 404),
        (Role.SPONSOR, "spn_1", 200),
        (Role.SPONSOR, "spn_2", 404),
        (Role.ORGANISER, "org_1", 200),
    ],
)
async def test_a_certificate_is_for_those_whom_the_report_is_for(
    desk: Desk, http: httpx.AsyncClient, caller: Caller, role: Role, owner: str, status: int
) -> None:
    await desk.score(report())
    await desk.certify()
    caller.role, caller.owner = role, owner
    answer = await http.get("/v1/certificates/sub_1")
    assert answer.status_code == status
    if status == 200:
        keys = (await http.get("/v1/certificates/keys")).json()
        issuer = Issuer.open(desk.folder)
        assert keys["root"] == fingerprint(issuer.keys.root)
        assert verify_bundle(unpack(answer.content), root=issuer.keys.root, now=desk.clock.now()).passed


async def test_only_an_organiser_revokes_and_everybody_reads_the_list_and_the_log(
    desk: Desk, http: httpx.AsyncClient, caller: Caller
) -> None:
    await desk.score(report())
    await desk.certify()
    id = certificate_id((await desk.scores.latest("sub_1")).assignment.id)  # type: ignore[union-attr]
    body = {"reason": "The rights were not the team's."}
    assert (await http.post(f"/v1/certificates/{id}/revoke", json=body)).status_code == 403
    caller.role = Role.ORGANISER
    assert (await http.post(f"/v1/certificates/{id}/revoke", json={})).status_code == 422
    revoked = await http.post(f"/v1/certificates/{id}/revoke", json=body)
    assert (revoked.status_code, revoked.json()["reason"]) == (200, body["reason"])
    assert (await http.post(f"/v1/certificates/{id}/revoke", json={"reason": "Another."})).status_code == 409
    assert (await http.post("/v1/certificates/crt_9/revoke", json=body)).status_code == 404
    http.headers.pop("Authorization")
    signed = await http.get("/v1/certificates/revocations")
    pages, after = [], ""
    while True:
        page = (await http.get(f"/v1/certificates/log?limit=1{after}")).json()
        pages += [{name: value for name, value in each.items() if name != "digest"} for each in page["entries"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    entries = [Entry.of(each) for each in pages]
    check_chain(entries, head=head_of(signed.content, Issuer.open(desk.folder).keys))
    assert [entry.event for entry in entries] == ["issued", "revoked"]


async def test_where_no_issuer_is_there_is_none_to_be_had(desk: Desk) -> None:
    app = FastAPI()
    problems.install(app)
    app.include_router(create_certificates_router(replace(desk.registry, authority=None)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        answer = await client.get("/v1/certificates/keys")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_issuer")
