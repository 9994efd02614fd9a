"""Ranking: folds scores into leaderboards and shows them. `python -m services.ranking.app`."""

from __future__ import annotations

from datetime import timedelta

from services.ranking.api import create_ops_router, create_router
from services.ranking.boards import Boards
from services.ranking.handlers import Handlers
from services.ranking.leaderboard import Leaderboard
from services.ranking.measuring import Measuring
from services.ranking.reading import Reading
from services.ranking.rebuilds import Rebuilds, replay
from services.ranking.settings import RankingSettings
from services.ranking.store import MongoChallenges, MongoReports, mongo_leaderboards
from shared.app import Service
from shared.auth import CredentialProjection
from shared.database_clock import DatabaseClock
from shared.job_loop import JobLoop
from shared.mongo import database_now


def build(settings: RankingSettings) -> Service:
    """The process, ready to run."""
    service = Service("ranking", settings)
    store = mongo_leaderboards(service.aggregates("leaderboards", Leaderboard), service.database)
    service.prepare(store.prepare)
    boards = Boards(store, fresh=settings.fresh)
    service.background("entries", boards.run)
    challenges = MongoChallenges(service.database["challenges"])
    credentials = CredentialProjection(service.database)
    handlers = Handlers(boards=boards, challenges=challenges, credentials=credentials, clock=service.clock)
    service.stream("scoring.scores")(handlers.on_scores)
    service.stream("intake.submissions")(handlers.on_submissions)
    service.stream("board.challenges")(handlers.on_challenges)
    service.stream("board.teams")(handlers.on_teams)

    jobs = service.jobs("rebuild", lease=settings.rebuild_lease)
    rebuilds = Rebuilds(
        jobs,
        MongoReports(service.database["rebuild_reports"]),
        boards=boards,
        store=store,
        replay=lambda topic: replay(settings, topic),
        ids=service.ids,
        clock=service.clock,
    )
    service.background("rebuilds", JobLoop(jobs, rebuilds.work).run)
    service.sweep("expired rebuilds", settings.rebuild_lease, jobs.expire)
    service.sweep("rebuild queue", timedelta(seconds=10), jobs.measure)
    now = DatabaseClock(lambda: database_now(service.database.client)).now
    service.sweep("phases under way", timedelta(seconds=10), Measuring(store, boards, challenges, now).measure)
    reading = Reading(boards, challenges, now, pages=settings.pages, fresh=settings.fresh)
    service.api(create_router(reading=reading), create_ops_router(rebuilds=rebuilds))
    service.authenticate(credentials)
    return service


if __name__ == "__main__":
    build(RankingSettings.load_or_exit()).run()
