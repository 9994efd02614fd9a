"""Settings of the board."""

from __future__ import annotations

from datetime import timedelta

from shared.settings import Duration, Settings


class BoardSettings(Settings, process="board"):
    """Settings of the board's API and its sweeper."""

    sweep_every: Duration = timedelta(seconds=1)
    """How often a replica looks for phases that open or close."""
