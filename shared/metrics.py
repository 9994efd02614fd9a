"""Every metric of the platform: name, help text and labels. No label grows with the number of teams or submissions.

Of phases only the twenty that are under way and began last are told, so that labels do not grow with the years either.
`docs/metrics.md` is made of this file: `python -m shared.metrics_page` writes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest, openmetrics
from prometheus_client.metrics import MetricWrapperBase

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)

# The way of a submission.
SUBMISSIONS = Counter("submissions_total", "Submissions that reached an end, by outcome.", ["outcome"])
SUBMISSION_TO_RANK = Histogram(
    "submission_to_rank_seconds", "From the upload being complete to the rank being recorded.", buckets=_SECONDS
)
STAGE = Histogram("stage_seconds", "Time in a stage, split into waiting and work.", ["stage", "part"], buckets=_SECONDS)
OLDEST_AGE = Gauge("oldest_age_seconds", "Age of the oldest submission in a waiting state.", ["state"])
CONSERVATION_DELTA = Gauge(
    "pipeline_conservation_delta",
    "Attempts used minus submissions that ended or wait under a deadline: 0 unless something was lost.",
)

# Events in.
EVENTS_HANDLED = Counter("events_handled_total", "Events whose effect is done, by stream.", ["stream"])
EVENTS_UNKNOWN = Counter("events_unknown_total", "Events of a type this build does not know, ignored.", ["stream"])
HANDLING = Histogram("event_handling_seconds", "Time that handling one event took.", ["stream"], buckets=_SECONDS)
RETRIES = Counter("event_retries_total", "Events put back to be handled again, by stream and kind.", ["stream", "kind"])
DUPLICATES = Counter("duplicates_total", "Causes that had had their effect before, dropped.", ["collection"])
DEAD_LETTERS = Counter("dead_letters_total", "Records sent to a dead-letter topic, by reason.", ["stream", "reason"])
DEAD_LETTER_FAILURES = Counter("dead_letter_failures_total", "Dead letters that could not be published.", ["stream"])
DEAD_LETTERS_WAITING = Gauge("dead_letters_waiting", "Dead letters neither redriven nor discarded.", ["stream"])
DEAD_LETTERS_AGE = Gauge("dead_letters_oldest_age_seconds", "Age of the oldest waiting dead letter.", ["stream"])
STREAM_HALTED = Gauge("stream_halted", "1 when too many dead letters stopped a stream.", ["stream"])
CONSUMER_LAG = Gauge("consumer_lag_records", "Records not yet read, by stream and partition.", ["stream", "partition"])
CONSUMER_TIME_LAG = Gauge("consumer_time_lag_seconds", "Age of the record last read, while behind.", ["stream"])
REBALANCES = Counter("consumer_rebalances_total", "Times that partitions were assigned.", ["stream"])
COMMIT_FAILURES = Counter("offset_commit_failures_total", "Offset commits that failed.", ["stream"])

# Events out.
OUTBOX_PUBLISHED = Counter("outbox_published_total", "Events published from an outbox.", ["topic"])
OUTBOX_FAILURES = Counter("outbox_failures_total", "Publishes from an outbox that failed.", ["topic"])
OUTBOX_PENDING = Gauge("outbox_pending_documents", "Documents with unpublished events.", ["collection"])
OUTBOX_AGE = Gauge("outbox_oldest_age_seconds", "Age of the oldest unpublished event.", ["collection"])

# State and work.
WRITE_CONFLICTS = Counter("write_conflicts_total", "Guarded writes that lost a race and were repeated.", ["collection"])
JOBS = Gauge("jobs", "Jobs by queue and state.", ["queue", "state"])
JOB_OLDEST_AGE = Gauge("job_oldest_age_seconds", "Age of the oldest queued job.", ["queue"])
JOBS_ENDED = Counter("jobs_ended_total", "Attempts at a job, by how they ended.", ["queue", "result"])
JOB_SECONDS = Histogram("job_seconds", "Time that one attempt at a job took.", ["queue"], buckets=_SECONDS)
LEASES_LOST = Counter("job_leases_lost_total", "Results refused because the lease had passed on.", ["queue"])
SANDBOX_KILLS = Counter("sandbox_kills_total", "Sandboxed children killed, by cause.", ["cause"])
SWEEPS_FAILED = Counter("sweep_failures_total", "Runs of a periodic task that failed.", ["task"])

# The competition.
LEADERBOARD_SUBMISSIONS = Gauge(
    "leaderboard_submissions",
    "Submissions to a phase under way, by what became of them.",
    ["challenge", "phase", "outcome"],
)
LEADERBOARD_SCORES = Gauge(
    "leaderboard_scores",
    "Ranked submissions to a phase under way, by the ten points that begin at the band and hold their total.",
    ["challenge", "phase", "band"],
)
LEADERBOARD_TEAMS = Gauge("leaderboard_teams", "Teams with a rank in a phase under way.", ["challenge", "phase"])

# The edge.
REQUESTS = Counter("http_requests_total", "HTTP requests, by route, method and status.", ["route", "method", "status"])
REQUEST_SECONDS = Histogram("http_request_seconds", "Time to answer a request.", ["route", "method"], buckets=_SECONDS)
REFUSALS = Counter("refusals_total", "Requests answered with a problem document, by its code.", ["code"])
PLATFORM_FAULTS = Counter("platform_faults_total", "Requests answered 503 after an unexpected error.", ["route"])
DELIVERIES = Counter("deliveries_total", "Webhook attempts, by result.", ["result"])
DELIVERY_SECONDS = Histogram(
    "delivery_seconds",
    "From an event being stored for a healthy endpoint to its being taken there.",
    buckets=_SECONDS,
)
DELIVERIES_PENDING = Gauge("deliveries_pending", "Webhook deliveries that wait for an attempt.")
DELIVERIES_OVERDUE = Gauge("deliveries_overdue", "Webhook deliveries whose attempt has been due for a minute or more.")
SUBSCRIPTIONS_FAILING = Gauge("subscriptions_failing", "Subscriptions whose endpoint has not taken anything of late.")
SUBSCRIPTIONS_DISABLED = Gauge("subscriptions_disabled", "Subscriptions that are switched off.")
EVENT_LOOP_LAG = Histogram(
    "event_loop_lag_seconds", "How late the event loop wakes a sleeper.", buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10)
)


@contextmanager
def timer() -> Iterator[Callable[[], float]]:
    """Measure a block: yields a function that gives the seconds since it began."""
    begun = time.perf_counter()
    yield lambda: time.perf_counter() - begun


def begin_at_zero(counter: Counter, *values: Iterable[str]) -> None:
    """Export a counter from the start, once for each tuple of label values.

    Prometheus sees no increase in a series that first appears at 1, so that the first failure would go unnoticed.
    """
    for labels in values:
        counter.labels(*labels)


def all_metrics() -> dict[str, MetricWrapperBase]:
    """Every metric of this file, by the name that it is exported under, in the order of the file."""
    found = [value for value in globals().values() if isinstance(value, MetricWrapperBase)]
    return {exported_name(metric): metric for metric in found}


def exported_name(metric: MetricWrapperBase) -> str:
    """The name of a metric in the exposition and in queries; a histogram's series add a suffix to it."""
    name: str = metric._name
    return f"{name}_total" if isinstance(metric, Counter) else name


def exposition(accept: str = "") -> tuple[bytes, str]:
    """All metrics and their media type: OpenMetrics, which can carry exemplars, for who accepts it, else plain text."""
    if "application/openmetrics-text" in accept:
        body: bytes = openmetrics.exposition.generate_latest(REGISTRY)  # type: ignore[no-untyped-call]
        return body, openmetrics.exposition.CONTENT_TYPE_LATEST
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
