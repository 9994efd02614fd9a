"""Everything that taking in a submission needs, in one hand."""

from __future__ import annotations

from dataclasses import dataclass

from services.ingest.settings import IngestSettings
from services.ingest.store import Board, Ledgers, Preflights, Submissions, Uploads
from shared.ids import Ids
from shared.jobs import Jobs
from shared.objects import Objects


@dataclass(frozen=True, slots=True)
class Intake:
    """The stores, the queues and the settings of ingest."""

    uploads: Uploads
    submissions: Submissions
    ledgers: Ledgers
    board: Board
    preflights: Preflights
    objects: Objects
    scans: Jobs
    verifications: Jobs
    ids: Ids
    settings: IngestSettings
