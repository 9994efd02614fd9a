"""How much of the platform's room one team may hold with uploads that no submission was made of."""

from __future__ import annotations

from services.ingest.intake import Intake
from services.ingest.store import Unsubmitted


class TooManyUploads(Exception):
    """The team has as many uploads without a submission as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"at most {limit}")
        self.limit = limit


class NoRoom(Exception):
    """With this upload the team would hold more bytes without a submission than it may."""

    def __init__(self, limit: int, held: int, received: int) -> None:
        super().__init__(f"{held} bytes are held and {received} more announced, at most {limit}")
        self.limit = limit
        self.held = held
        self.received = received


async def require_room(team: str, length: int, intake: Intake) -> None:
    """Check that a team may begin an upload of so many bytes.

    Requests at the same moment see the same room: a team may exceed it by what it announces at once, no more.

    Raises:
        TooManyUploads, NoRoom: its other uploads are too many, or too large.
    """
    try:
        _require(await intake.uploads.unsubmitted(team), length, intake)
    except (TooManyUploads, NoRoom):
        # A submission does not touch its upload, so some of these may be submitted: find out, once for each.
        held = await intake.uploads.unsubmitted(team)
        submitted = await intake.submissions.submitted([upload.id for upload in held])
        await intake.uploads.keep(submitted)
        _require([upload for upload in held if upload.id not in submitted], length, intake)


def _require(held: list[Unsubmitted], length: int, intake: Intake) -> None:
    settings = intake.settings
    if sum(not upload.ended for upload in held) >= settings.unsubmitted_uploads:
        raise TooManyUploads(settings.unsubmitted_uploads)
    taken = sum(upload.length for upload in held)
    if taken + length > settings.unsubmitted_bytes:
        raise NoRoom(settings.unsubmitted_bytes, taken, length)
