"""Scoring: queues a job for each accepted submission, certifies what was ranked. `python -m services.scoring.app`."""

from __future__ import annotations

from services.scoring import commands
from services.scoring.api import create_ops_router, create_router
from services.scoring.certificate import Certificate
from services.scoring.certificates_api import create_certificates_router
from services.scoring.certifying import Authority, Registry, write_unlogged
from services.scoring.handlers import Handlers
from services.scoring.score import Score
from services.scoring.settings import ScoringSettings
from services.scoring.store import MongoScores, MongoTerms
from services.scoring.store_certificates import MongoCertificateLog, MongoCertificates
from shared.app import Service
from shared.auth import CredentialProjection


def build(settings: ScoringSettings) -> Service:
    """The process, ready to run."""
    service = Service("scoring", settings)
    scores = MongoScores(service.aggregates("scores", Score))
    service.prepare(scores.prepare)
    terms = MongoTerms(service.database["terms"])
    jobs = service.jobs("score", lease=settings.lease, attempts=settings.attempts)
    credentials = CredentialProjection(service.database)

    certificates = MongoCertificates(service.aggregates("certificates", Certificate))
    service.prepare(certificates.prepare)
    entries = MongoCertificateLog(service.database["certificate_log"])
    service.prepare(entries.prepare)
    with settings.exit_if_wrong():
        authority = Authority.load(settings.issuer)
    registry = Registry(certificates, entries, service.objects, authority, service.clock)

    handlers = Handlers(all_terms=terms, jobs=jobs, scores=scores, credentials=credentials, registry=registry)
    service.stream("intake.submissions")(handlers.on_submissions)
    service.stream("board.challenges")(handlers.on_challenges)
    service.stream("board.teams")(handlers.on_teams)

    async def report_failures() -> int:
        return await jobs.report_failures(lambda job: commands.give_up(job, scores=scores, clock=service.clock))

    service.sweep("expired leases", settings.sweep_every, jobs.expire)
    service.sweep("failed jobs", settings.sweep_every, report_failures)
    service.sweep("queue length", settings.sweep_every, jobs.measure)
    service.sweep("certificate log", settings.sweep_every, lambda: write_unlogged(registry))
    service.api(
        create_router(scores=scores, objects=service.objects),
        create_certificates_router(registry),
        create_ops_router(jobs=jobs),
    )
    service.authenticate(credentials)
    return service


if __name__ == "__main__":
    build(ScoringSettings.load_or_exit()).run()
