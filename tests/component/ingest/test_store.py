"""The stores of ingest: one suite for MongoDB and for memory, so that what is tested on the one holds on the other."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from deploy.local.mongo import MongoServer
from services.ingest.challenge import Challenge, Phase
from services.ingest.quota import ENTRIES_KEPT, Allowance, Ledger, QuotaExhausted, day_of
from services.ingest.store import (
    Attempts,
    Board,
    KeyTaken,
    Ledgers,
    Missing,
    Preflight,
    Preflights,
    Submissions,
    Uploads,
)
from services.ingest.store_memory import (
    MemoryBoard,
    MemoryLedgers,
    MemoryPreflights,
    MemorySubmissions,
    MemoryUploads,
)
from services.ingest.store_mongo import (
    MongoBoard,
    MongoLedgers,
    MongoPreflights,
    MongoSubmissions,
    MongoUploads,
)
from services.ingest.submission import Deadlines, Reason, Stage, Submission, SubmissionState
from services.ingest.upload import BeyondLength, OffsetConflict, Part, Upload, UploadClosed, UploadState
from shared.auth import Principal
from shared.clock import SystemClock
from shared.contracts.board import Role
from shared.contracts.envelope import Event, Fact
from shared.contracts.registry import event_class
from shared.database_clock import DatabaseClock
from shared.ids import CredentialId, OwnerId, SystemIds
from shared.mongo import Aggregates, client, database, database_now
from shared.outbox import Relay
from shared.settings import Settings
from tests.fakes import FakePublisher

IDS = SystemIds()
NOW = datetime.now(UTC).replace(microsecond=0)
AGES = timedelta(days=1)


def reader(role: Role, owner: str) -> Principal:
    return Principal(CredentialId("key_a"), OwnerId(owner), role)


@dataclass
class Stores:
    uploads: Uploads
    submissions: Submissions
    ledgers: Ledgers
    board: Board
    preflights: Preflights


@pytest.fixture(params=["memory", "mongo"])
async def stores(request: pytest.FixtureRequest, mongo: MongoServer) -> AsyncIterator[Stores]:
    """Empty stores of each kind."""
    clock = SystemClock()
    if request.param == "memory":
        yield Stores(
            MemoryUploads(clock), MemorySubmissions(clock), MemoryLedgers(clock), MemoryBoard(), MemoryPreflights()
        )
        return
    settings = Settings(mongo_uri=mongo.uri, mongo_database_prefix=f"ts{secrets.token_hex(4)}")
    connection = client(settings)
    kept = database(connection, settings, "ingest")
    relay = Relay(FakePublisher())
    moments = DatabaseClock(lambda: database_now(connection))

    def aggregates(name: str, state: type) -> Aggregates:  # type: ignore[type-arg]
        return Aggregates(kept, name, state, source="/test", relay=relay, clock=clock, ids=IDS)

    uploads = MongoUploads(aggregates("uploads", Upload), moments)
    submissions = MongoSubmissions(aggregates("submissions", Submission), moments)
    ledgers = MongoLedgers(aggregates("ledgers", Ledger), moments)
    preflights = MongoPreflights(kept)
    for store in (uploads, submissions, ledgers, preflights):
        await store.prepare()
    yield Stores(uploads, submissions, ledgers, MongoBoard(kept), preflights)
    await relay.stop(5)
    await connection.drop_database(kept.name)
    connection.close()


def upload(length: int = 10, *, team: str = "team_a", key: str | None = None, at: datetime = NOW) -> Upload:
    return Upload.create(
        id=IDS.new("upl"), team=team, length=length, sha256="a" * 64, filename="数据.csv", filetype=None, at=at, key=key
    )


def submission(
    *, key: str | None = None, team: str = "team_a", received_at: datetime = NOW, at: datetime = NOW
) -> tuple[Submission, Sequence[Fact]]:
    return Submission.receive(
        id=IDS.new("sub"),
        challenge="chl_a",
        challenge_version=1,
        phase="preliminary",
        team=team,
        upload="upl_a",
        digest="d" * 64,
        bytes=12,
        formats=("csv",),
        received_at=received_at,
        key=key or secrets.token_hex(16),
        fingerprint="f",
        quota_day="2026-03-01",
        note="备注",
        deadlines=Deadlines(),
        at=at,
    )


def event(fact: Fact) -> Event[Fact]:
    made: Event[Fact] = event_class(type(fact))(
        id=IDS.new("evt"),
        source="/test",
        type=fact.type,
        subject=fact.subject,
        time=NOW,
        sequence=1,
        partitionkey=fact.key,
        correlationid=fact.correlation,
        data=fact,
    )
    return made


# --- uploads


async def test_an_upload_reads_back_as_it_was_stored(stores: Stores) -> None:
    made = await stores.uploads.add(upload())
    assert await stores.uploads.load(made.id, None) == made


async def test_the_same_key_makes_the_same_upload_and_no_key_another(stores: Stores) -> None:
    first = await stores.uploads.add(upload(key="k"))
    assert await stores.uploads.add(upload(key="k")) == first
    assert (await stores.uploads.add(upload())).id != (await stores.uploads.add(upload())).id


async def test_the_last_byte_gets_the_moment_of_the_store(stores: Stores) -> None:
    made = await stores.uploads.add(upload())
    half = await stores.uploads.append(made, (Part("0-a", 4),))
    assert (half.offset, half.state, half.completed_at) == (4, UploadState.RECEIVING, None)
    before = await stores.submissions.now()
    whole = await stores.uploads.append(half, (Part("4-b", 3), Part("7-c", 3)))
    assert whole.state is UploadState.VERIFYING
    assert whole.completed_at is not None
    assert abs(whole.completed_at - before) < timedelta(seconds=5)
    assert whole == await stores.uploads.load(made.id, None)
    assert [part.name for part in whole.parts] == ["0-a", "4-b", "7-c"]


async def test_of_two_writers_at_one_offset_one_moves_it(stores: Stores) -> None:
    made = await stores.uploads.add(upload())
    await stores.uploads.append(made, (Part("0-a", 4),))
    with pytest.raises(OffsetConflict):
        await stores.uploads.append(made, (Part("0-b", 10),))
    assert [part.name for part in (await stores.uploads.load(made.id, None)).parts] == ["0-a"]


async def test_bytes_beyond_the_length_or_after_the_end_do_not_count(stores: Stores) -> None:
    made = await stores.uploads.add(upload())
    with pytest.raises(BeyondLength):
        await stores.uploads.append(made, (Part("0-a", 11),))
    await stores.uploads.update(made.id, lambda current, now: current.terminate(now))
    with pytest.raises(UploadClosed):
        await stores.uploads.append(made, (Part("0-a", 10),))
    assert (await stores.uploads.load(made.id, None)).offset == 0


async def test_a_change_of_what_was_read_just_now_is_made_to_what_is_there(stores: Stores) -> None:
    read = await stores.uploads.add(upload(0))
    verified = await stores.uploads.replace(read, lambda current, now: current.verify("a" * 64, now))
    assert verified.state is UploadState.VERIFIED
    assert await stores.uploads.load(read.id, None) == verified
    late = await stores.uploads.replace(read, lambda current, now: current.verify("b" * 64, now))
    assert late == await stores.uploads.load(read.id, None) == verified


async def test_what_is_due_is_found_by_age(stores: Stores) -> None:
    old = NOW - 2 * AGES
    receiving = await stores.uploads.add(upload(at=old))
    verifying = await stores.uploads.add(upload(0, at=old))
    kept = await stores.uploads.add(upload(at=old))
    await stores.uploads.update(kept.id, lambda current, _now: current.keep())
    ended = await stores.uploads.add(upload(at=old).terminate(old))
    await stores.uploads.add(upload())
    assert await stores.uploads.untouched_for(AGES) == [receiving.id]
    assert await stores.uploads.verifying_since(AGES) == [verifying.id]
    assert [found.id for found in await stores.uploads.uncollected(AGES)] == [ended.id]
    await stores.uploads.update(ended.id, lambda current, _now: current.mark_collected())
    assert await stores.uploads.uncollected(AGES) == []


async def test_the_uploads_that_hold_room_are_those_without_a_submission(stores: Stores) -> None:
    add = stores.uploads.add
    receiving, verifying = await add(upload()), await add(upload(length=0))
    verified = await add(upload(length=0).verify("a" * 64, NOW))
    refused = await add(upload(length=0).verify("b" * 64, NOW))
    unfinished = await add(upload().terminate(NOW))
    deleted = await add(upload(length=0).terminate(NOW))
    submitted = await add(upload())
    await add(upload(team="team_b"))
    await stores.uploads.keep([submitted.id])
    assert (await stores.uploads.load(submitted.id, None)).kept
    held = {one.id: (one.length, one.ended) for one in await stores.uploads.unsubmitted("team_a")}
    assert held == {receiving.id: (10, False), verifying.id: (0, False), verified.id: (0, False), deleted.id: (0, True)}
    assert not held.keys() & {refused.id, unfinished.id}
    await stores.uploads.update(deleted.id, lambda current, _now: current.mark_collected())
    assert deleted.id not in {one.id for one in await stores.uploads.unsubmitted("team_a")}


async def test_an_upload_is_found_by_the_key_that_made_it(stores: Stores) -> None:
    made = await stores.uploads.add(upload(key="k"))
    assert await stores.uploads.made_by("k") == made
    assert await stores.uploads.made_by("other") is None


async def test_uploads_that_were_submitted_are_told_from_others(stores: Stores) -> None:
    handed_in, facts = submission()
    await stores.submissions.add(handed_in, facts)
    assert await stores.submissions.submitted(["upl_a", "upl_b"]) == {"upl_a"}
    assert await stores.submissions.submitted([]) == set()


# --- who sees what


async def test_what_is_not_the_readers_does_not_exist(stores: Stores) -> None:
    made = await stores.uploads.add(upload())
    handed_in, facts = submission()
    await stores.submissions.add(handed_in, facts)
    check = await stores.preflights.begin(Preflight("pfl_a", "team_a", "chl_a", "upl_a"))
    for allowed in (reader(Role.TEAM, "team_a"), reader(Role.ORGANISER, "org_a"), reader(Role.OPERATOR, "o"), None):
        assert await stores.uploads.load(made.id, allowed) == made
        assert await stores.submissions.load(handed_in.id, allowed) == handed_in
        assert await stores.preflights.load(check.id, allowed) == check
    for other in (reader(Role.TEAM, "team_b"), reader(Role.SPONSOR, "team_a")):
        with pytest.raises(Missing):
            await stores.uploads.load(made.id, other)
        with pytest.raises(Missing):
            await stores.submissions.load(handed_in.id, other)
        with pytest.raises(Missing):
            await stores.preflights.load(check.id, other)


# --- submissions


async def test_a_key_makes_one_submission(stores: Stores) -> None:
    first, facts = submission(key="k")
    assert await stores.submissions.add(first, facts) == first
    second, facts = submission(key="k")
    with pytest.raises(KeyTaken) as taken:
        await stores.submissions.add(second, facts)
    assert taken.value.submission == first
    assert await stores.submissions.made_by("k") == first
    assert await stores.submissions.made_by("other") is None


async def test_a_cause_has_its_effect_once(stores: Stores) -> None:
    made, facts = submission()
    await stores.submissions.add(made, facts)
    cause = event(facts[0])

    def drive(current: Submission, now: datetime) -> tuple[Submission, Sequence[Fact]]:
        return current.reject([Reason("c", "s", "G1", "p")], began_at=now, at=now)

    rejected = await stores.submissions.update(made.id, drive, cause)
    assert rejected.state is SubmissionState.REJECTED
    assert await stores.submissions.update(made.id, drive, cause) == rejected
    assert await stores.submissions.load(made.id, None) == rejected


async def test_submissions_are_listed_newest_first_page_by_page(stores: Stores) -> None:
    made = []
    for _ in range(5):
        one, facts = submission()
        await stores.submissions.add(one, facts)
        made.append(one.id)
    await stores.submissions.add(*submission(team="team_b"))
    first = await stores.submissions.page("team_a", None, None, 3)
    rest = await stores.submissions.page("team_a", "chl_a", first[-1].id, 3)
    assert [found.id for found in [*first, *rest]] == made[::-1]
    assert await stores.submissions.page("team_a", "chl_b", None, 3) == []


async def test_overdue_waiting_and_owed_submissions_are_found(stores: Stores) -> None:
    late, facts = submission(at=NOW - 2 * AGES)
    await stores.submissions.add(late, facts)
    fresh, facts = submission()
    await stores.submissions.add(fresh, facts)
    assert await stores.submissions.overdue(10) == [late.id]
    assert [found.id for found in await stores.submissions.received_before(AGES, 10)] == [late.id]
    assert await stores.submissions.owed_refunds(10) == []
    await stores.submissions.update(late.id, lambda current, now: current.cancel(now))
    assert await stores.submissions.owed_refunds(10) == [late.id]
    assert await stores.submissions.overdue(10) == []
    await stores.submissions.update(late.id, lambda current, _now: (current.refunded(), ()))
    assert await stores.submissions.owed_refunds(10) == []
    assert await stores.submissions.uses("upl_a")
    assert not await stores.submissions.uses("upl_b")


async def test_the_position_counts_older_submissions_of_the_same_stage(stores: Stores) -> None:
    made = []
    for minutes in range(4):
        one, facts = submission(received_at=NOW + timedelta(minutes=minutes))
        made.append(await stores.submissions.add(one, facts))
    assert [await stores.submissions.ahead_of(one) for one in made] == [0, 1, 2, 3]
    await stores.submissions.update(made[0].id, lambda current, now: current.cancel(now))
    assert await stores.submissions.ahead_of(made[3]) == 2


async def test_the_age_of_the_oldest_in_a_state_is_known(stores: Stores) -> None:
    assert await stores.submissions.oldest(SubmissionState.RECEIVED) is None
    await stores.submissions.add(*submission(received_at=NOW - AGES))
    await stores.submissions.add(*submission())
    age = await stores.submissions.oldest(SubmissionState.RECEIVED)
    assert age is not None
    assert AGES <= age < AGES + timedelta(minutes=10)


async def test_the_pace_of_a_stage_is_that_of_those_who_left_it(stores: Stores) -> None:
    for minutes in (1, 2, 9):
        one, facts = submission()
        await stores.submissions.add(one, facts)
        at = NOW + timedelta(minutes=minutes)
        await stores.submissions.update(
            one.id,
            lambda current, _now, at=at: current.accept(  # type: ignore[misc]
                dataset_digest="e" * 64, files=1, began_at=at, deadlines=Deadlines(), at=at
            ),
        )
    pace = await stores.submissions.pace(Stage.SCAN)
    assert (pace.stay, pace.interval) == (timedelta(minutes=2), timedelta(minutes=4))
    assert pace.estimate(3) == timedelta(minutes=8)
    assert (await stores.submissions.pace(Stage.RANK)).estimate(3) is None


# --- ledgers, board, preflights


async def test_of_fifty_at_once_one_gets_the_last_attempt(stores: Stores) -> None:
    def take(key: str) -> asyncio.Task[Ledger]:
        def reserve(ledger: Ledger) -> Ledger:
            return ledger.reserve(
                key, submission=key, fingerprint=key, allowance=Allowance(1, 9), received_at=NOW, at=NOW
            )[0]

        return asyncio.ensure_future(stores.ledgers.update("team_a", "chl_a", reserve))

    answers = await asyncio.gather(*(take(f"k{number}") for number in range(50)), return_exceptions=True)
    assert sum(isinstance(answer, Ledger) for answer in answers) == 1
    assert sum(isinstance(answer, QuotaExhausted) for answer in answers) == 49
    assert (await stores.ledgers.load("team_a", "chl_a")).used_total == 1
    assert (await stores.ledgers.load("team_b", "chl_a")).used_total == 0


async def test_attempts_held_for_long_are_found(stores: Stores) -> None:

    for key, at in (("old", NOW - 2 * AGES), ("new", NOW)):
        await stores.ledgers.update(
            "team_a",
            "chl_a",
            lambda ledger, key=key, at=at: ledger.reserve(  # type: ignore[misc]
                key, submission=f"sub_{key}", fingerprint=key, allowance=Allowance(9, 9), received_at=at, at=at
            )[0],
        )
    orphans = await stores.ledgers.orphans(AGES, 10)
    assert {place: list(entries) for place, entries in orphans.items()} == {("team_a", "chl_a"): ["old"]}
    await stores.ledgers.update("team_a", "chl_a", lambda ledger: ledger.release("old", "sub_old"))
    assert await stores.ledgers.orphans(AGES, 10) == {}


async def test_every_attempt_is_counted_once_whatever_became_of_it(stores: Stores) -> None:
    def holding(ledger: Ledger, key: str) -> Ledger:
        allowance = Allowance(99, 99)
        return ledger.reserve(
            key, submission=f"sub_{key}", fingerprint="f", allowance=allowance, received_at=NOW, at=NOW
        )[0]

    assert await stores.ledgers.attempts() == Attempts(0, 0)
    for number in range(ENTRIES_KEPT + 3):
        key = f"k{number}"
        await stores.ledgers.update("team_a", "chl_a", lambda ledger, key=key: holding(ledger, key))
        await stores.ledgers.update("team_a", "chl_a", lambda ledger, key=key: ledger.commit(key, f"sub_{key}"))
    assert await stores.ledgers.attempts() == Attempts(used=ENTRIES_KEPT + 3, held=0)
    for key in ("k0", "k34"):  # one that was folded into a number, and one that was not
        await stores.ledgers.update(
            "team_a",
            "chl_a",
            lambda ledger, key=key: ledger.refund(
                key, submission=f"sub_{key}", day=day_of(NOW), fingerprint="f", at=NOW
            ),
        )
    assert await stores.ledgers.attempts() == Attempts(used=ENTRIES_KEPT + 3, held=0)
    await stores.ledgers.update("team_b", "chl_a", lambda ledger: holding(ledger, "h"))
    assert await stores.ledgers.attempts() == Attempts(used=ENTRIES_KEPT + 3, held=1)


async def test_a_submission_is_accounted_for_until_nobody_drives_it_after_its_deadline(stores: Stores) -> None:
    now = await stores.submissions.now()
    for at in (now, now - Deadlines().scan - timedelta(minutes=1), now - Deadlines().scan - timedelta(minutes=9)):
        made, facts = submission(at=at)
        await stores.submissions.add(made, facts)
    assert await stores.submissions.accounted(timedelta(minutes=5)) == 2
    await stores.submissions.update(made.id, lambda current, at: current.cancel(at))
    assert await stores.submissions.accounted(timedelta(minutes=5)) == 3


async def test_only_the_newest_version_of_a_challenge_is_kept_in_whatever_order_they_come(stores: Stores) -> None:
    def version(number: int) -> Challenge:
        return Challenge(
            "chl_a", number, "spn_a", (Phase("p", NOW, NOW + AGES),), Allowance(1, 2), 10, ("csv", "parquet")
        )

    for number in (1, 3, 2, 3):
        await stores.board.put_challenge(version(number), number)
    assert await stores.board.challenge("chl_a") == version(3)
    with pytest.raises(Missing):
        await stores.board.challenge("chl_b")


async def test_a_registration_is_remembered_once(stores: Stores) -> None:
    assert not await stores.board.is_registered("team_a", "chl_a")
    for _ in range(2):
        await stores.board.put_registration("team_a", "chl_a")
    assert await stores.board.is_registered("team_a", "chl_a")
    assert not await stores.board.is_registered("team_a", "chl_b")


async def test_a_check_that_was_asked_for_is_not_asked_anew(stores: Stores) -> None:
    asked = await stores.preflights.begin(Preflight("pfl_a", "team_a", "chl_a", "upl_a"))
    assert asked.passed is None
    answer = Preflight("pfl_a", "team_a", "chl_a", "upl_a", True, "e" * 64, (Reason("c", "s", "G3"),), ("w",))
    await stores.preflights.answer(answer)
    assert await stores.preflights.begin(Preflight("pfl_a", "team_a", "chl_a", "upl_a")) == answer
