"""Ingest: takes in uploads and submissions, and follows each to its end. `python -m services.ingest.app`."""

from __future__ import annotations

from services.ingest import api, operations_api, refusals, uploads_api
from services.ingest.handlers import Handlers
from services.ingest.settings import IngestSettings
from services.ingest.sweeping import Sweeping
from services.ingest.verifying import do_verification
from services.ingest.wiring import intake_of
from shared.app import Service
from shared.auth import CredentialProjection
from shared.job_loop import JobLoop
from shared.jobs import Lease


def build(settings: IngestSettings) -> Service:
    """The process, ready to run."""
    service = Service("ingest", settings)
    intake = intake_of(service, settings)
    credentials = CredentialProjection(service.database)

    handlers = Handlers(intake, credentials)
    service.stream("board.challenges")(handlers.on_challenges)
    service.stream("board.teams")(handlers.on_teams)
    service.stream("scoring.scores")(handlers.on_scores)
    service.stream("ranking.leaderboards")(handlers.on_leaderboards)

    async def verify(lease: Lease) -> None:
        await do_verification(lease, intake)

    service.background("verifications", JobLoop(intake.verifications, verify, concurrency=2).run)
    for sweep in Sweeping(intake).sweeps():
        service.sweep(sweep.name, sweep.every, sweep.task)

    app = service.api(
        uploads_api.create_router(intake),
        api.create_router(intake, service.signer, service.stopping),
        operations_api.create_router(intake),
    )
    app.add_middleware(uploads_api.SpeaksTus)
    refusals.install(app)
    service.authenticate(credentials)
    return service


if __name__ == "__main__":
    build(IngestSettings.load_or_exit()).run()
