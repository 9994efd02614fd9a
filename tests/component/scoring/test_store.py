"""What every store of scores and terms promises; and who may read a report."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.scoring.score import Score, Terms, verdict
from services.scoring.store import AllTerms, MemoryScores, MemoryTerms, MongoScores, MongoTerms, Scores
from shared.auth import Principal
from shared.clock import SystemClock
from shared.contracts.board import Role
from shared.contracts.envelope import Event
from shared.contracts.intake import SubmissionAccepted
from shared.contracts.registry import event_class, parse
from shared.ids import CredentialId, OwnerId, SystemIds
from shared.mongo import Aggregates, client, database
from shared.outbox import Relay
from shared.settings import Settings
from tests.fakes import FakePublisher
from tests.unit.scoring.test_score import ASSIGNMENT, NOON, TERMS, report


@pytest.fixture(params=["memory", "mongo"])
def stores(request: pytest.FixtureRequest) -> tuple[Scores, AllTerms]:
    """Each test runs over both."""
    if request.param == "memory":
        return MemoryScores(), MemoryTerms()
    mongo = request.getfixturevalue("mongo")
    prefix = request.getfixturevalue("prefix")
    settings = Settings(mongo_uri=mongo.uri, mongo_database_prefix=prefix.rstrip("."))
    own = database(client(settings), settings, "scoring")
    relay = Relay(FakePublisher(down=True))
    aggregates = Aggregates(own, "scores", Score, source="/test", relay=relay, clock=SystemClock(), ids=SystemIds())
    return MongoScores(aggregates), MongoTerms(own["terms"])


def reader(role: Role, owner: str) -> Principal:
    return Principal(CredentialId("key_1"), OwnerId(owner), role)


def completed(rubric_digest: str = ASSIGNMENT.rubric_digest, minutes: int = 0) -> Score:
    assignment = replace(ASSIGNMENT, rubric_digest=rubric_digest)
    odd = report(rubric={"digest": rubric_digest}, dimensions={"$ 均衡.": "1.000000", "balance": "2.000000"})
    found = verdict(odd, assignment, replace(TERMS, rubric_digest=rubric_digest))
    score, _ = Score.completed(
        assignment, found, report_sha256="1" * 64, page_sha256="2" * 64, at=NOON + timedelta(minutes=minutes)
    )
    return score


def acceptance() -> Event[Any]:
    """An acceptance of the submission, told anew each time."""
    fact = SubmissionAccepted(
        submission=ASSIGNMENT.submission,
        challenge=ASSIGNMENT.challenge,
        challenge_version=ASSIGNMENT.challenge_version,
        phase=ASSIGNMENT.phase,
        team=ASSIGNMENT.team,
        upload=ASSIGNMENT.upload,
        digest="a" * 64,
        bytes=10,
        received_at=ASSIGNMENT.received_at,
        dataset_digest=ASSIGNMENT.dataset_digest,
        files=1,
    )
    return event_class(SubmissionAccepted)(
        id=SystemIds().new("evt"),
        source="/test",
        type=fact.type,
        subject=fact.subject,
        time=NOON,
        sequence=1,
        partitionkey=fact.key,
        correlationid=fact.correlation,
        data=fact,
    )


async def told_by(scores: Scores) -> list[str]:
    """The facts that a store has told or is about to, as JSON."""
    if isinstance(scores, MemoryScores):
        return [fact.model_dump_json() for fact in scores.facts]
    assert isinstance(scores, MongoScores)
    [document] = [document async for document in scores._scores.collection.find({})]
    events = [parse(entry["body"].encode()) for entry in document["outbox"]]
    assert len({event.id for event in events}) == len(events)
    return [event.data.model_dump_json() for event in events if isinstance(event, Event)]


async def test_a_score_is_recorded_once_and_comes_back_as_it_was(stores: tuple[Scores, AllTerms]) -> None:
    scores, _ = stores
    assert await scores.find(ASSIGNMENT.id) is None
    assert await scores.record(completed(), [])
    failed, _ = Score.failed(ASSIGNMENT, "attempts_exhausted", at=NOON)
    assert not await scores.record(failed, [])
    assert await scores.find(ASSIGNMENT.id) == completed()


async def test_a_recorded_score_is_told_again_once_for_each_who_asks(stores: tuple[Scores, AllTerms]) -> None:
    scores, _ = stores
    asked = acceptance()
    assert not await scores.tell_again(ASSIGNMENT.id, cause=asked), "there is none yet"
    await scores.record(completed(), [completed().fact])
    for cause in (asked, asked, acceptance()):
        assert await scores.tell_again(ASSIGNMENT.id, cause=cause)
    told = await told_by(scores)
    assert told == [completed().fact.model_dump_json()] * 3, "the first time, and once for each of two who asked"
    assert await scores.find(ASSIGNMENT.id) == completed()


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        (reader(Role.TEAM, "team_1"), True),
        (reader(Role.TEAM, "team_2"), False),
        (reader(Role.TEAM, "spn_1"), False),
        (reader(Role.SPONSOR, "spn_1"), True),
        (reader(Role.SPONSOR, "spn_2"), False),
        (reader(Role.SPONSOR, "team_1"), False),
        (reader(Role.ORGANISER, "org_1"), True),
        (reader(Role.OPERATOR, "opr_1"), True),
    ],
)
async def test_a_report_is_there_only_for_those_it_is_for(
    stores: tuple[Scores, AllTerms], who: Principal, sees: bool
) -> None:
    scores, _ = stores
    await scores.record(completed(), [])
    assert (await scores.readable("sub_1", who) is not None) is sees
    assert await scores.readable("sub_2", who) is None


async def test_the_latest_score_of_a_submission_is_the_one_that_is_read(stores: tuple[Scores, AllTerms]) -> None:
    scores, _ = stores
    for digest, minutes in (("a" * 64, 1), ("b" * 64, 2), ("c" * 64, 0)):
        assert await scores.record(completed(digest, minutes), [])
    found = await scores.readable("sub_1", reader(Role.TEAM, "team_1"))
    assert found is not None
    assert found.assignment.rubric_digest == "b" * 64


async def test_the_terms_of_a_version_never_change(stores: tuple[Scores, AllTerms]) -> None:
    _, all_terms = stores
    odd = replace(TERMS, demand={"types": {"a.b": "text", "$where": "integer", "": "date"}})
    await all_terms.keep(odd)
    await all_terms.keep(replace(odd, sponsor="spn_9"))
    assert await all_terms.find("chl_1", 2) == odd
    assert await all_terms.find("chl_1", 1) is None
    second = Terms("chl_1", 3, "spn_1", {}, {}, "f" * 64)
    await all_terms.keep(second)
    assert await all_terms.find("chl_1", 3) == second
