"""Settings of notify: the API process and the delivering worker."""

from __future__ import annotations

from datetime import timedelta

from shared.settings import Duration, Settings


class NotifySettings(Settings, process="notify"):
    """Settings of the API and its handlers."""


class WorkerSettings(Settings, process="notify_worker"):
    """Settings of a worker that delivers."""

    concurrency: int = 64
    """How many attempts may be under way at once."""
    per_endpoint: int = 4
    """How many of them at one endpoint; at one whose last attempt failed, a single one."""
    poll_every: Duration = timedelta(milliseconds=250)
    """How often an idle worker looks for what is due."""
    time_out: Duration = timedelta(seconds=15)
    """How long one attempt may take in all."""
