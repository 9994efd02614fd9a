"""Certificates on real servers: the stores' promises, and a ranked submission that is certified by the process."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from jiebang.certificate.issuer import Issuer
from jiebang.certificate.issuing import unpack
from jiebang.certificate.log import ISSUED, REVOKED, check_chain
from jiebang.certificate.verification import verify_bundle
from services.scoring.certificate import AlreadyRevoked, Certificate
from services.scoring.store_certificates import (
    CertificateLog,
    Certificates,
    MemoryCertificateLog,
    MemoryCertificates,
    MongoCertificateLog,
    MongoCertificates,
)
from shared.clock import SystemClock
from shared.contracts.board import Role
from shared.contracts.intake import SubmissionRanked
from shared.contracts.scoring import CertificateIssued, CertificateRevoked, ScoreCompleted
from shared.ids import SystemIds
from shared.mongo import Aggregates, client, database
from shared.outbox import Relay
from shared.settings import Settings
from tests.component.scoring.test_scoring import digest_of, scoring, worker
from tests.component.scoring.test_store import completed, reader
from tests.component.scoring.world import NOW, World, accepted, event, got
from tests.eventually import eventually
from tests.fakes import FakePublisher

SHA = "a" * 64

CSV = b"species,mass\nAdelie,3700\nGentoo,5000\nAdelie,3800\nGentoo,5100\n"
DEMAND: dict[str, Any] = {
    "label": "species",
    "key": ["mass"],
    "required": ["species", "mass"],
    "types": {"species": "text", "mass": "integer"},
    "records": 4,
}


@pytest.fixture(params=["memory", "mongo"])
def unprepared(request: pytest.FixtureRequest) -> tuple[Certificates, CertificateLog]:
    """Each test runs over both."""
    if request.param == "memory":
        return MemoryCertificates(), MemoryCertificateLog()
    mongo = request.getfixturevalue("mongo")
    prefix = request.getfixturevalue("prefix")
    settings = Settings(mongo_uri=mongo.uri, mongo_database_prefix=prefix.rstrip("."))
    own = database(client(settings), settings, "scoring")
    relay = Relay(FakePublisher(down=True))
    aggregates = Aggregates(
        own, "certificates", Certificate, source="/test", relay=relay, clock=SystemClock(), ids=SystemIds()
    )
    return MongoCertificates(aggregates), MongoCertificateLog(own["certificate_log"])


@pytest.fixture
async def stores(unprepared: tuple[Certificates, CertificateLog]) -> tuple[Certificates, CertificateLog]:
    """The stores with their indexes."""
    certificates, log = unprepared
    if isinstance(certificates, MongoCertificates) and isinstance(log, MongoCertificateLog):
        await certificates.prepare()
        await log.prepare()
    return certificates, log


def a_certificate() -> tuple[Certificate, Any]:
    return Certificate.issue(completed(), envelope_sha256=SHA, at=NOW, expires_at=NOW + timedelta(days=365))


async def test_there_is_one_certificate_of_a_score(stores: tuple[Certificates, CertificateLog]) -> None:
    certificates, _ = stores
    made, facts = a_certificate()
    assert await certificates.add(made, facts)
    assert not await certificates.add(replace(made, envelope_sha256="b" * 64), facts)
    assert await certificates.find(made.id) == made
    assert await certificates.named(made.submission) == await certificates.named(made.id) == made
    assert await certificates.named("sub_9") is None


@pytest.mark.parametrize(
    ("role", "owner", "seen"),
    [
        (Role.TEAM, "team_1", True),
        (Role.TEAM, "team_2", False),
        (Role.SPONSOR, "spn_1", True),
        (Role.SPONSOR, "spn_2", False),
        (Role.ORGANISER, "org_1", True),
    ],
)
async def test_what_a_reader_may_not_see_is_not_there(
    stores: tuple[Certificates, CertificateLog], role: Role, owner: str, seen: bool
) -> None:
    certificates, _ = stores
    made, facts = a_certificate()
    await certificates.add(made, facts)
    for name in (made.id, made.submission):
        assert (await certificates.readable(name, reader(role, owner)) is not None) == seen


async def test_it_is_revoked_once_and_is_unlogged_until_the_log_has_it(
    stores: tuple[Certificates, CertificateLog],
) -> None:
    certificates, _ = stores
    made, facts = a_certificate()
    await certificates.add(made, facts)
    assert [each.id for each in await certificates.unlogged()] == [made.id]
    await certificates.mark_logged(made)
    assert await certificates.unlogged() == []
    revoked = await certificates.revoke(made.id, "why", at=NOW)
    assert (revoked.revoked_at, revoked.reason) == (NOW, "why")
    assert await certificates.revoke(made.id, "why", at=NOW + timedelta(days=1)) == revoked
    with pytest.raises(AlreadyRevoked):
        await certificates.revoke(made.id, "something else", at=NOW)
    await certificates.mark_logged(made)  # as it was seen before it was revoked
    assert [each.id for each in await certificates.unlogged()] == [made.id]
    await certificates.mark_logged(revoked)
    assert await certificates.unlogged() == []


async def test_many_that_append_at_once_make_one_whole_chain_with_each_event_once(
    stores: tuple[Certificates, CertificateLog],
) -> None:
    _, log = stores
    names = [f"crt_{number}" for number in range(12)]
    await asyncio.gather(*(log.append(ISSUED, name, SHA, at=NOW) for name in names for _ in range(3)))
    await log.append(REVOKED, "crt_3", SHA, at=NOW, reason="why")
    entries = [*await log.entries(after=0, limit=5), *await log.entries(after=5, limit=100)]
    check_chain(entries, head=await log.head())
    assert sorted(entry.certificate for entry in entries if entry.event == ISSUED) == sorted(names)
    assert len(entries) == 13
    assert [entry.certificate for entry in await log.revoked(await log.head())] == ["crt_3"]


def ranked(submission: str) -> Any:
    about = accepted(submission, SHA).model_dump(exclude={"dataset_digest", "files"})
    return SubmissionRanked(**about, rank=1, total="100.000000")


async def test_a_ranked_submission_gets_a_certificate_that_verifies_and_can_be_revoked(
    world: World, tmp_path: Path
) -> None:
    issuer = Issuer.create(tmp_path / "issuer", now=NOW - timedelta(days=1))
    await world.publish_challenge(demand=DEMAND)
    await world.hand_in("upl_1", CSV)
    async with (
        scoring(world, tmp_path, JIEBANG_SCORING_ISSUER=str(issuer.folder)) as app,
        worker(world, tmp_path),
        httpx.AsyncClient(base_url=app.url, trust_env=False) as http,
    ):
        digest = digest_of(CSV, tmp_path)
        await world.say(accepted("sub_1", digest))
        [score] = await world.hears("scoring.scores", ScoreCompleted)
        assert not score.provisional
        told = [event(ranked("sub_1"), sequence=3), event(ranked("sub_1"), sequence=4)]
        await world.say(*told, told[0])
        [issued] = await world.hears("scoring.scores", CertificateIssued)
        assert (issued.dataset_digest, issued.total, issued.grade) == (digest, score.total, score.grade)

        organiser = await world.key_of("org_1", Role.ORGANISER)
        answer = await got(http, "/v1/certificates/sub_1", organiser)
        assert answer.status_code == 200
        files = [("penguins.csv", len(CSV), hashlib.sha256(CSV).hexdigest())]
        known = {"root": issuer.keys.root, "now": SystemClock().now()}
        found = verify_bundle(unpack(answer.content), files=files, **known)
        assert found.passed, found.failed

        body = {"reason": "It was withdrawn by the team."}
        revoked = await http.post(f"/v1/certificates/{issued.certificate}/revoke", json=body, headers=organiser)
        assert revoked.status_code == 200
        [fact] = await world.hears("scoring.scores", CertificateRevoked)
        assert fact.certificate == issued.certificate
        newest = (await http.get("/v1/certificates/revocations")).content
        refused = verify_bundle(unpack(answer.content), revocations=newest, **known)
        assert refused.failed is not None
        assert refused.failed.id == "revocation"

        async def logged() -> bool:
            entries = (await http.get("/v1/certificates/log")).json()["entries"]
            return [entry["event"] for entry in entries] == ["issued", "revoked"]

        await eventually(logged, what="both events in the log")
        assert len(await world.heard("scoring.scores", CertificateIssued)) == 1
