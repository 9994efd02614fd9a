"""Ranking as a process on real Kafka and MongoDB."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from services.ranking.boards import Boards
from services.ranking.commands import board_fact
from services.ranking.projection import Board
from shared.contracts.board import PhaseClosed, Role, Visibility
from shared.contracts.envelope import Event, Fact
from shared.contracts.intake import SubmissionCancelled, SubmissionFailed, SubmissionReceived, SubmissionRejected
from shared.contracts.ranking import EntryRecorded, LeaderboardChanged, LeaderChanged
from shared.contracts.scoring import ScoreCompleted
from shared.kafka import handled, read_records
from shared.mongo import client, database
from tests.component.ranking.conftest import mongo_store
from tests.component.scoring.world import NOW, World, event, got, new_world, shuffled_twice
from tests.component.service_process import Running, running
from tests.eventually import eventually
from tests.unit.ranking.test_projection import image

BOARD = "/v1/leaderboards/chl_1"


def intake(kind: Any, submission: str, team: str, minutes: int = 0, **more: Any) -> Fact:
    fact: Fact = kind(
        submission=submission,
        challenge="chl_1",
        challenge_version=1,
        phase="preliminary",
        team=team,
        upload="upl_1",
        digest="0" * 64,
        bytes=1,
        received_at=NOW - timedelta(minutes=60 - minutes),
        **more,
    )
    return fact


def received(submission: str, team: str, minutes: int = 0) -> Event[Any]:
    return event(intake(SubmissionReceived, submission, team, minutes), at=NOW - timedelta(minutes=60 - minutes))


def score(submission: str, team: str, total: str, minutes: int = 0) -> Event[Any]:
    fact = ScoreCompleted(
        submission=submission,
        challenge="chl_1",
        challenge_version=1,
        phase="preliminary",
        team=team,
        received_at=NOW - timedelta(minutes=60 - minutes),
        rubric_digest="e" * 64,
        total=total,
        dimensions={"completeness": total, "$ 均衡.": "50.000000"},
        coverage="1.000000",
        grade="B",
        provisional=False,
        dataset_digest="d" * 64,
        engine="0.1.0",
        report_key="reports/r",
        report_sha256="f" * 64,
    )
    return event(fact, at=NOW - timedelta(minutes=50 - minutes))


def season(dice: random.Random, submissions: int = 40) -> list[Event[Any]]:
    """What a season says: every submission received, most scored, some ended otherwise, some both."""
    said: list[Event[Any]] = []
    for number in range(submissions):
        name, team = f"sub_{number:03}", f"team_{dice.randrange(9)}"
        said.append(received(name, team, number))
        ending = dice.random()
        if ending < 0.85:
            said.append(score(name, team, f"{dice.randrange(100)}.{dice.randrange(10**6):06}", number))
        if ending > 0.8:
            late = NOW - timedelta(minutes=dice.randrange(40))
            end = dice.choice(
                [
                    intake(SubmissionCancelled, name, team, number),
                    intake(SubmissionFailed, name, team, number, stage="score", code="deadline_passed"),
                    intake(SubmissionRejected, name, team, number, reasons=()),
                ]
            )
            said.append(event(end, at=late))
    return said


def ranking(world: World, folder: Path) -> Any:
    return running("services.ranking.app", "RANKING", folder, world.variables)


def client_of(process: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=process.url, trust_env=False, timeout=30)


async def the_board(client: httpx.AsyncClient, path: str = BOARD, **expected: Any) -> dict[str, Any]:
    """The board, as soon as it shows what is expected."""

    async def shown() -> dict[str, Any] | None:
        answer = await client.get(path)
        board: dict[str, Any] = answer.json()
        return board if answer.status_code == 200 and all(board[k] == v for k, v in expected.items()) else None

    found: dict[str, Any] | None = await eventually(shown, what=f"{path} with {expected}")
    assert found is not None
    return found


async def test_a_score_becomes_an_entry_a_change_and_a_leader(world: World, tmp_path: Path) -> None:
    await world.publish_challenge()
    await world.say(received("sub_1", "team_1"), score("sub_1", "team_1", "87.125000"))
    async with ranking(world, tmp_path) as process, client_of(process) as http:
        [entry] = await world.hears("ranking.leaderboards", EntryRecorded)
        assert (entry.submission, entry.rank, entry.is_best) == ("sub_1", 1, True)
        assert len(await world.hears("ranking.leaderboards", LeaderboardChanged)) == 1
        assert len(await world.hears("ranking.leaderboards", LeaderChanged)) == 1
        board = await the_board(http, pending=0)
        assert board["provisional"] is False
        [row] = board["entries"]
        assert (row["rank"], row["team"], row["total"], row["least_dimension"]) == (
            1,
            "team_1",
            "87.125000",
            "50.000000",
        )


async def all_documents(world: World) -> dict[str, list[dict[str, Any]]]:
    """Every document that decides a board, as it is stored."""
    own = database(client(world.settings), world.settings, "ranking")
    return {name: [row async for row in own[name].find().sort("_id", 1)] for name in ("leaderboards", "entries")}


async def settled(world: World, said: Sequence[Event[Any]]) -> Board:
    """The board in the store, as soon as it has folded everything that was said; and what it has to be."""
    expected = Board(meant[2] for each in said if (meant := board_fact(each)))
    store = mongo_store(database(client(world.settings), world.settings, "ranking"))

    async def folded() -> Board | None:
        board = (await Boards(store).read("chl_1", "preliminary")).board
        return board if image(board) == image(expected) else None

    found: Board | None = await eventually(folded, within=90, every=0.3, what="the board to be the fold of all events")
    assert found is not None
    return found


def scores_in(said: Sequence[Event[Any]]) -> list[str]:
    return sorted({each.data.submission for each in said if isinstance(each.data, ScoreCompleted)})


async def entries_said(world: World) -> list[str]:
    return sorted([entry.submission for entry in await world.heard("ranking.leaderboards", EntryRecorded)])


async def test_shuffled_and_duplicated_events_make_the_board_that_their_fold_is(
    world: World, tmp_path: Path, rng: random.Random
) -> None:
    said = season(rng)
    await world.publish_challenge()
    async with ranking(world, tmp_path), ranking(world, tmp_path):
        await world.say(*shuffled_twice(said, rng))
        await settled(world, said)
        await world.hears("ranking.leaderboards", EntryRecorded, count=len(scores_in(said)))
    assert await entries_said(world) == scores_in(said)


async def test_the_whole_topics_read_again_from_the_start_change_not_a_byte(
    world: World, tmp_path: Path, rng: random.Random
) -> None:
    said = shuffled_twice(season(rng), rng)
    await world.publish_challenge()
    await world.say(*said)
    async with ranking(world, tmp_path):
        await settled(world, said)
        await world.hears("ranking.leaderboards", EntryRecorded, count=len(scores_in(said)))
    before, events = await all_documents(world), await world.heard("ranking.leaderboards", Fact)
    for topic in ("scoring.scores", "intake.submissions"):
        assert await committed(world, topic) > 0
        await read_again_from_the_start(world, topic)
        assert await committed(world, topic) == 0
    async with ranking(world, tmp_path):
        for topic in ("scoring.scores", "intake.submissions"):

            async def caught_up(topic: str = topic) -> bool:
                return await committed(world, topic) == await length(world, topic)

            await eventually(caught_up, what=f"{topic} to be read again")
    assert await all_documents(world) == before
    assert await world.heard("ranking.leaderboards", Fact) == events


async def test_a_replica_killed_under_load_loses_and_repeats_nothing(
    world: World, tmp_path: Path, rng: random.Random
) -> None:
    said = season(rng, 60)
    await world.publish_challenge()
    async with ranking(world, tmp_path):
        for _ in range(2):
            part = said[: len(said) // 2] if not await entries_said(world) else said[len(said) // 2 :]
            async with ranking(world, tmp_path) as victim:
                await world.say(*part)
                await eventually(lambda: entries_said(world), what="folding to have begun", every=0.01)
                victim.process.kill()
                assert not victim.process.running
        await settled(world, said)
        await world.hears("ranking.leaderboards", EntryRecorded, count=len(scores_in(said)))
    assert await entries_said(world) == scores_in(said)


async def test_a_rebuild_under_load_says_nothing_and_loses_nothing(
    world: World, tmp_path: Path, rng: random.Random
) -> None:
    said = season(rng, 60)
    early, late = said[: len(said) // 2], said[len(said) // 2 :]
    operator = await world.key_of("opr_1", Role.OPERATOR)
    await world.publish_challenge()
    await world.say(*early)
    async with ranking(world, tmp_path) as process, ranking(world, tmp_path), client_of(process) as http:
        await settled(world, early)
        await got(http, "/v1/ops/ranking/rebuilds", operator)

        async def load() -> None:
            for each in late:
                await world.say(each)

        loading = asyncio.create_task(load())
        rebuilds: list[dict[str, Any]] = []
        while not loading.done() or not rebuilds:
            answer = await http.post("/v1/ops/ranking/rebuilds", headers=operator)
            assert answer.status_code == 202
            rebuilds.append(await rebuilt(http, answer.json()["id"], operator))
        await loading
        await settled(world, said)
        await world.hears("ranking.leaderboards", EntryRecorded, count=len(scores_in(said)))
    for report in rebuilds:
        [board] = report["boards"]
        assert (board["found"], board["dropped"], board["altered"], board["same"]) == (0, 0, 0, True)
    assert await entries_said(world) == scores_in(said)


async def rebuilt(http: httpx.AsyncClient, id: str, operator: dict[str, str]) -> dict[str, Any]:
    async def done() -> dict[str, Any] | None:
        report: dict[str, Any] = (await http.get(f"/v1/ops/ranking/rebuilds/{id}", headers=operator)).json()
        assert report["state"] != "failed", report
        return report if report["state"] == "done" else None

    found: dict[str, Any] | None = await eventually(done, what=f"the rebuild {id}")
    assert found is not None
    return found


async def test_a_rebuild_puts_right_what_somebody_spoiled(world: World, tmp_path: Path) -> None:
    operator = await world.key_of("opr_1", Role.OPERATOR)
    said = [score(f"sub_{number}", f"team_{number}", f"{number}0.000000", number) for number in range(1, 5)]
    await world.publish_challenge()
    await world.say(*said)
    async with ranking(world, tmp_path):
        await settled(world, said)
        await world.hears("ranking.leaderboards", EntryRecorded, count=len(said))
    entries = database(client(world.settings), world.settings, "ranking")["entries"]
    await entries.update_one({"record.submission": "sub_1"}, {"$set": {"record.scores.0.total": "99.000000"}})
    await entries.delete_one({"record.submission": "sub_2"})
    async with ranking(world, tmp_path) as process, client_of(process) as http:
        spoiled = await the_board(http)
        assert [entry["submission"] for entry in spoiled["entries"]] == ["sub_1", "sub_4", "sub_3"]
        await got(http, "/v1/ops/ranking/rebuilds", operator)
        started = (await http.post("/v1/ops/ranking/rebuilds", headers=operator)).json()
        [board] = (await rebuilt(http, started["id"], operator))["boards"]
        assert (board["altered"], board["found"], board["same"]) == (1, 1, False)
        right = await the_board(http, generation=f"{started['id']}.1")
        assert [entry["submission"] for entry in right["entries"]] == ["sub_4", "sub_3", "sub_2", "sub_1"]
        assert right["board_seq"] > spoiled["board_seq"]
    assert len(await world.heard("ranking.leaderboards", EntryRecorded)) == len(said)


async def test_reads_are_conditional_paged_and_of_any_moment(world: World, tmp_path: Path) -> None:
    said = [score(f"sub_{number}", f"team_{number}", f"{number}0.000000", number) for number in range(1, 4)]
    await world.publish_challenge()
    await world.say(*said)
    async with ranking(world, tmp_path) as process, client_of(process) as http:
        await settled(world, said)
        first = await eventually_ok(http, f"{BOARD}?limit=2")
        assert [entry["rank"] for entry in first.json()["entries"]] == [1, 2]
        again = await http.get(f"{BOARD}?limit=2", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        following = first.headers["link"].split(">")[0].removeprefix("<")
        assert [entry["rank"] for entry in (await http.get(following)).json()["entries"]] == [3]
        moment = quote(said[0].time.isoformat())
        past = (await http.get(f"{BOARD}?at={moment}")).json()
        assert [entry["team"] for entry in past["entries"]] == ["team_1"]
        team = (await http.get(f"{BOARD}/teams/team_2")).json()
        assert (team["rank"], team["ahead"]["team"], team["behind"]["team"]) == (2, "team_3", "team_1")
        history = (await http.get(f"{BOARD}/history")).json()
        assert [move["submission"] for move in history["changes"]] == ["sub_1", "sub_2", "sub_3"]
        entries = {entry.board_seq for entry in await world.heard("ranking.leaderboards", EntryRecorded)}
        assert {move["board_seq"] for move in history["changes"]} == entries


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/leaderboards/chl_9", 404, "unknown_challenge"),
        (f"{BOARD}?phase=final", 404, "unknown_phase"),
        (f"{BOARD}/teams/team_9", 404, "unknown_team"),
        (f"{BOARD}?at=2026-03-01T00:00:00", 422, "invalid_request"),
        (f"{BOARD}?at=yesterday", 422, "invalid_request"),
        (f"{BOARD}?at=2999-01-01T00:00:00Z", 422, "moment_to_come"),
        (f"{BOARD}?limit=0", 422, "invalid_request"),
        (f"{BOARD}?after=%00", 422, "invalid_cursor"),
        (f"{BOARD}?after=W10", 422, "invalid_cursor"),
        ("/v1/ops/ranking/rebuilds", 401, "unauthenticated"),
    ],
)
async def test_what_cannot_be_answered_says_why(shown: httpx.AsyncClient, path: str, status: int, code: str) -> None:
    answer = await shown.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.fixture(scope="module")
async def shown(
    kafka: KafkaServer, mongo: MongoServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """A running ranking with one challenge, for questions that change nothing."""
    folder = tmp_path_factory.mktemp("shown")
    async with new_world(kafka, mongo, folder) as world:
        await world.publish_challenge()
        async with ranking(world, folder) as process, client_of(process) as http:
            await eventually_ok(http, BOARD)
            yield http


async def test_a_private_board_opens_when_its_phase_is_closed(world: World, tmp_path: Path) -> None:
    await world.publish_challenge(leaderboard=Visibility.PRIVATE)
    await world.say(score("sub_1", "team_1", "87.125000"))
    team, sponsor = await world.key_of("team_1", Role.TEAM), await world.key_of("spn_1", Role.SPONSOR)
    async with ranking(world, tmp_path) as process, client_of(process) as http:
        await world.hears("ranking.leaderboards", EntryRecorded)
        for path in (BOARD, f"{BOARD}/teams/team_1", f"{BOARD}/history"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "leaderboard_private")
            assert (await got(http, path, team)).status_code == 404
            assert (await got(http, path, sponsor)).status_code == 200
        await world.say(event(PhaseClosed(challenge="chl_1", phase="preliminary", at=NOW), sequence=2))
        assert (await eventually_ok(http, BOARD)).json()["entries"][0]["team"] == "team_1"


async def test_what_has_no_place_on_the_board_is_told_to_those_it_concerns(world: World, tmp_path: Path) -> None:
    await world.publish_challenge()
    said = [received("sub_1", "team_1"), score("sub_1", "team_1", "87.125000"), received("sub_2", "team_1", 1)]
    await world.say(*said)
    team, other = await world.key_of("team_1", Role.TEAM), await world.key_of("team_2", Role.TEAM)
    sponsor = await world.key_of("spn_1", Role.SPONSOR)
    path = f"{BOARD}/teams/team_1"
    async with ranking(world, tmp_path) as process, client_of(process) as http:
        await the_board(http, pending=1, board_seq=3)

        async def told(key: dict[str, str] | None) -> list[str]:
            answer = await http.get(path) if key is None else await got(http, path, key)
            return [one["submission"] for one in answer.json()["counted"]]

        for key in (team, sponsor):
            assert await told(key) == ["sub_1", "sub_2"]
        for stranger in (None, other):
            assert await told(stranger) == ["sub_1"]


async def test_a_board_is_provisional_until_what_was_received_is_through(world: World, tmp_path: Path) -> None:
    await world.publish_challenge()
    names = [f"sub_{number}" for number in range(3)]
    await world.say(*(received(name, "team_1") for name in names))
    async with ranking(world, tmp_path) as process, client_of(process) as http:
        assert (await the_board(http, pending=3))["provisional"] is True
        await world.say(
            score("sub_0", "team_1", "80.000000"),
            intake(SubmissionRejected, "sub_1", "team_1", reasons=()),
            intake(SubmissionFailed, "sub_2", "team_1", stage="score", code="out_of_memory"),
        )
        assert (await the_board(http, pending=0))["provisional"] is False


async def eventually_ok(http: httpx.AsyncClient, path: str) -> httpx.Response:
    async def ok() -> httpx.Response | None:
        answer = await http.get(path)
        return answer if answer.status_code == 200 else None

    found: httpx.Response | None = await eventually(ok, what=f"200 for {path}")
    assert found is not None
    return found


# --- the consumer groups, seen from outside


async def committed(world: World, topic: str) -> int:
    return sum((await handled(world.settings, service="ranking", topic=topic)).values())


async def length(world: World, topic: str) -> int:
    batches = read_records(world.settings, f"{world.settings.kafka_topic_prefix}{topic}")
    return sum([len(batch) async for batch in batches])


async def read_again_from_the_start(world: World, topic: str) -> None:
    prefix = world.settings.kafka_topic_prefix
    partitions = [TopicPartition(f"{prefix}{topic}", number) for number in range(12)]
    group = AIOKafkaConsumer(
        bootstrap_servers=list(world.settings.kafka_bootstrap),
        group_id=f"{prefix}ranking.{topic}",
        enable_auto_commit=False,
    )
    await group.start()
    try:
        group.assign(partitions)
        await group.commit(dict.fromkeys(partitions, 0))
    finally:
        await group.stop()
