"""Settings of ranking."""

from __future__ import annotations

from datetime import timedelta

from shared.settings import Duration, Settings


class RankingSettings(Settings, process="ranking"):
    """Settings of the API, its handlers and its rebuilds."""

    fresh: Duration = timedelta(milliseconds=250)
    """How old a board that is shown may be; within this time reads cost no look into the database."""
    pages: int = 512
    """How many rendered pages of boards are kept in memory."""
    rebuild_lease: Duration = timedelta(seconds=60)
    """How long a rebuild is a replica's without a sign of life."""
