"""The parts of ingest put together, the same for the API and for the scan worker."""

from __future__ import annotations

from services.ingest.intake import Intake
from services.ingest.quota import Ledger
from services.ingest.settings import IngestSettings
from services.ingest.store_mongo import (
    MongoBoard,
    MongoLedgers,
    MongoPreflights,
    MongoSubmissions,
    MongoUploads,
)
from services.ingest.submission import ENDS, Submission
from services.ingest.upload import Upload
from shared import metrics
from shared.app import Service
from shared.database_clock import DatabaseClock
from shared.mongo import database_now


def intake_of(service: Service, settings: IngestSettings) -> Intake:
    """The stores and queues of ingest over the database of a process."""
    moments = DatabaseClock(lambda: database_now(service.database.client))
    uploads = MongoUploads(service.aggregates("uploads", Upload), moments)
    submissions = MongoSubmissions(service.aggregates("submissions", Submission), moments)
    ledgers = MongoLedgers(service.aggregates("ledgers", Ledger), moments)
    preflights = MongoPreflights(service.database)
    for store in (uploads, submissions, ledgers, preflights):
        service.prepare(store.prepare)
    metrics.begin_at_zero(metrics.SUBMISSIONS, *([state.value] for state in ENDS))
    return Intake(
        uploads=uploads,
        submissions=submissions,
        ledgers=ledgers,
        board=MongoBoard(service.database),
        preflights=preflights,
        objects=service.objects,
        scans=service.jobs("scan_jobs", lease=settings.lease),
        verifications=service.jobs("verify_jobs", lease=settings.lease),
        ids=service.ids,
        settings=settings,
    )
