"""Every dashboard: which questions it answers, with which queries. `make dashboards` writes them as JSON."""

from __future__ import annotations

from collections.abc import Iterable

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.observability.panels import (
    Bound,
    Query,
    Row,
    attainment,
    bars,
    choice,
    dashboard,
    lines,
    number,
)

_PER_MINUTE = "60 * sum by ({by}) (rate({counter}[$__rate_interval]))"


def per_minute(counter: str, by: str, legend: str | None = None) -> Query:
    """How often something happened in a minute, a series for each value of the labels `by`."""
    return Query(_PER_MINUTE.format(counter=counter, by=by), legend or _named_by(by))


def so_far(counter: str, by: str, legend: str | None = None) -> Query:
    """How often something happened in the time that is looked at."""
    return Query(f"sum by ({by}) (increase({counter}[$__range]))", legend or _named_by(by))


def highest(gauge: str, by: str) -> Query:
    """The highest that any process tells, since all replicas of a service tell the same of what they share."""
    return Query(f"max by ({by}) ({gauge})", _named_by(by))


def quantile(share: float, histogram: str, by: str = "", legend: str = "", *, exemplars: bool = False) -> Query:
    """The time that this share of a histogram's observations did not exceed."""
    labels = f"le, {by}" if by else "le"
    name, _, matchers = histogram.partition("{")
    series = f"{name}_bucket" + (f"{{{matchers}" if matchers else "")
    expression = f"histogram_quantile({share}, sum by ({labels}) (rate({series}[$__rate_interval])))"
    return Query(expression, legend or _named_by(by), exemplars)


def _named_by(by: str) -> str:
    return " · ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))


def within(histogram: str, seconds: str) -> Query:
    """The share of a histogram's observations, of the time that is looked at, that took at most so long."""
    return Query(
        f'sum(increase({histogram}_bucket{{le="{seconds}"}}[$__range])) / sum(increase({histogram}_count[$__range]))'
    )


def _burn(title: str, of: str, budget: str, otherwise: str = "") -> Iterable[Query]:
    for window in ("5m", "1h", "6h"):
        yield Query(f"slo:{of}:ratio{window} / {budget}{otherwise}", f"{title}, {window}")


def overview() -> Dashboard:
    """Is all well, and if not, where to look."""
    promises = Row(
        "What is promised",
        [
            attainment("Ranked within 60 s", "Promised: 99 %.", within("submission_to_rank_seconds", "60.0"), 0.99),
            attainment(
                "Requests answered without a fault of ours",
                "Promised: 99.9 %.",
                Query(
                    '1 - (sum(increase(http_requests_total{status=~"5.."}[$__range])) or vector(0))'
                    " / sum(increase(http_requests_total[$__range]))"
                ),
                0.999,
            ),
            attainment(
                "Events at healthy endpoints within 30 s", "Promised: 99 %.", within("delivery_seconds", "30.0"), 0.99
            ),
            number(
                "Submissions lost",
                "What the ledgers and the submissions do not both have. Anything but 0 is a loss, or a double count.",
                Query("max(abs(pipeline_conservation_delta))"),
                Bound(1),
            ),
        ],
    )
    burning = Row(
        "How fast the error budgets burn",
        [
            lines(
                "Burn rate",
                "At 1 the budget of 30 days lasts 30 days; above 14.4 a person is called.",
                *_burn("ranks", "ranked_late", "0.01"),
                *_burn("events", "delivered_late", "0.01"),
                *_burn("requests", "api_errors", "0.001", " or 0 * sum(http_requests_total)"),  # no fault, no series
            ),
            lines(
                "Alerts",
                "Alerts that fire, by how soon they want a person.",
                Query('sum by (severity) (ALERTS{alertstate="firing"}) or vector(0)', "{{severity}}"),
                stacked=True,
            ),
        ],
    )
    funnel = Row(
        "The way of a submission",
        [
            bars("Through each stage", "Work done.", so_far('stage_seconds_count{part="work"}', "stage"), span=8),
            bars("How submissions ended", "Ends reached.", so_far("submissions_total", "outcome"), span=8),
            bars(
                "Longest wait now",
                "Age of the oldest submission in each waiting state.",
                highest("oldest_age_seconds", "state"),
                unit="s",
                span=8,
            ),
            lines(
                "From upload to rank",
                "The diamonds are single submissions and lead to their traces.",
                quantile(0.5, "submission_to_rank_seconds", legend="half"),
                quantile(0.95, "submission_to_rank_seconds", legend="95 %"),
                quantile(0.99, "submission_to_rank_seconds", legend="99 %", exemplars=True),
                unit="s",
            ),
            lines("Ends a minute", "By outcome.", per_minute("submissions_total", "outcome"), stacked=True),
        ],
    )
    return dashboard("overview", "Overview", str(overview.__doc__), [promises, burning, funnel])


def stages() -> Dashboard:
    """Where the time of a submission goes, and how long the queues are."""
    times = Row(
        "Time",
        [
            lines(
                "Waiting",
                "What 95 % of the work of each stage waited at most before it was begun.",
                quantile(0.95, 'stage_seconds{part="waiting"}', "stage"),
                unit="s",
            ),
            lines(
                "Work",
                "What 95 % of the work of each stage took at most.",
                quantile(0.95, 'stage_seconds{part="work"}', "stage"),
                unit="s",
            ),
            lines("Oldest in each state", "Submissions.", highest("oldest_age_seconds", "state"), unit="s"),
            lines("Attempts at jobs", "95 % took at most.", quantile(0.95, "job_seconds", "queue"), unit="s"),
        ],
    )
    queues = Row(
        "Queues",
        [
            lines("Queued", "Jobs that nobody has begun.", highest('jobs{state="queued"}', "queue")),
            lines("Leased", "Jobs under way.", highest('jobs{state="leased"}', "queue")),
            lines("Oldest queued job", "By queue.", highest("job_oldest_age_seconds", "queue"), unit="s"),
            lines("Attempts a minute", "By how they ended.", per_minute("jobs_ended_total", "queue, result")),
            lines(
                "Leases lost",
                "Results refused because another worker had the job by then.",
                per_minute("job_leases_lost_total", "queue"),
            ),
            lines("Throughput", "Work done a minute.", per_minute('stage_seconds_count{part="work"}', "stage")),
        ],
    )
    return dashboard("stages", "Stages", str(stages.__doc__), [times, queues])


def consumers() -> Dashboard:
    """Whether each service keeps up with the events of the others, and gets its own out."""
    reading = Row(
        "Events in",
        [
            lines(
                "Lag",
                "Records not yet read.",
                Query("sum by (job, stream) (consumer_lag_records)", _named_by("job, stream")),
            ),
            lines(
                "Time lag", "Age of what is read now.", highest("consumer_time_lag_seconds", "job, stream"), unit="s"
            ),
            lines("Handled a minute", "By service and stream.", per_minute("events_handled_total", "job, stream")),
            lines(
                "Handling one event",
                "95 % took at most.",
                quantile(0.95, "event_handling_seconds", "job, stream"),
                unit="s",
            ),
            lines("Put back", "Events to be handled again, by cause.", per_minute("event_retries_total", "job, kind")),
            lines("Duplicates dropped", "By collection.", per_minute("duplicates_total", "job, collection")),
            lines("Unknown types", "Ignored.", per_minute("events_unknown_total", "job, stream")),
            lines("Halted", "1 where too many dead letters stopped a stream.", highest("stream_halted", "job, stream")),
        ],
    )
    group = Row(
        "The consumer group",
        [
            lines("Rebalances", "Assignments a minute.", per_minute("consumer_rebalances_total", "job, stream")),
            lines("Failed commits", "A minute.", per_minute("offset_commit_failures_total", "job, stream")),
        ],
    )
    publishing = Row(
        "Events out",
        [
            lines(
                "Outboxes", "Documents with unpublished events.", highest("outbox_pending_documents", "job, collection")
            ),
            lines("Oldest unpublished", "Event.", highest("outbox_oldest_age_seconds", "job, collection"), unit="s"),
            lines("Published a minute", "By topic.", per_minute("outbox_published_total", "topic")),
            lines("Failed publishes", "A minute.", per_minute("outbox_failures_total", "topic")),
        ],
    )
    return dashboard("consumers", "Kafka consumers", str(consumers.__doc__), [reading, group, publishing])


def dead_letters() -> Dashboard:
    """What could not be handled and waits for a person, who redrives or discards it."""
    waiting = Row(
        "Waiting for a person",
        [
            number(
                "Dead letters", "All that wait.", Query("sum(max by (job, stream) (dead_letters_waiting))"), Bound(1)
            ),
            number("Oldest", "Its age.", Query("max(dead_letters_oldest_age_seconds)"), Bound(1), unit="s"),
            number("Streams halted", "They wait too.", Query("sum(max by (job, stream) (stream_halted))"), Bound(1)),
            number(
                "Not published",
                "Dead letters that could not be put away; their streams wait.",
                Query("sum(increase(dead_letter_failures_total[$__range]))"),
                Bound(1),
                decimals=0,
            ),
        ],
    )
    course = Row(
        "Over time",
        [
            lines("Waiting", "By service and stream.", highest("dead_letters_waiting", "job, stream"), stacked=True),
            lines(
                "Age of the oldest", "By stream.", highest("dead_letters_oldest_age_seconds", "job, stream"), unit="s"
            ),
            lines("New a minute", "By reason.", per_minute("dead_letters_total", "reason"), stacked=True),
            lines(
                "New a minute by stream", "By service.", per_minute("dead_letters_total", "job, stream"), stacked=True
            ),
        ],
    )
    return dashboard("dead-letters", "Dead letters", str(dead_letters.__doc__), [waiting, course])


def deliveries() -> Dashboard:
    """Whether sponsors hear of what happens."""
    now = Row(
        "Now",
        [
            number("Pending", "Deliveries that wait for an attempt.", Query("max(deliveries_pending)")),
            number("Overdue", "Due for a minute or more.", Query("max(deliveries_overdue)"), Bound(1)),
            number(
                "Failing", "Their endpoint took nothing last.", Query("max(subscriptions_failing)"), Bound(1, "orange")
            ),
            number("Switched off", "Subscriptions.", Query("max(subscriptions_disabled)"), Bound(1, "orange")),
        ],
    )
    course = Row(
        "Over time",
        [
            lines("Attempts a minute", "By result.", per_minute("deliveries_total", "result"), stacked=True),
            lines(
                "From event to endpoint",
                "For endpoints that were healthy.",
                quantile(0.5, "delivery_seconds", legend="half"),
                quantile(0.99, "delivery_seconds", legend="99 %"),
                unit="s",
            ),
            lines(
                "Waiting",
                "Pending.",
                Query("max(deliveries_pending)", "pending"),
                Query("max(deliveries_overdue)", "overdue"),
            ),
            lines(
                "One attempt",
                "How long 95 % of the endpoints' answers took at most, and how long they waited for their turn.",
                quantile(0.95, 'stage_seconds{stage="deliver"}', "part"),
                unit="s",
            ),
        ],
    )
    return dashboard("deliveries", "Deliveries", str(deliveries.__doc__), [now, course])


def security() -> Dashboard:
    """What comes in from outside: requests, uploads, what is refused, and what the sandbox had to end."""
    requests = Row(
        "Requests",
        [
            lines("A minute", "By status.", per_minute("http_requests_total", "status"), stacked=True),
            lines(
                "Time to answer", "99 % at most, by service.", quantile(0.99, "http_request_seconds", "job"), unit="s"
            ),
            lines("By route", "A minute.", per_minute("http_requests_total", "method, route"), span=24),
            lines(
                "Turned away",
                "Requests with no key (401), for what is another's (403, 404), or too many (429).",
                Query(
                    '60 * sum by (status) (rate(http_requests_total{status=~"401|403|404|429"}[$__rate_interval]))'
                    " or 0 * sum(rate(http_requests_total[$__rate_interval]))",  # nobody turned away, no series
                    "{{status}}",
                ),
            ),
            lines("Faults of ours", "Requests answered 503, by route.", per_minute("platform_faults_total", "route")),
        ],
    )
    uploads = Row(
        "Uploads",
        [
            lines(
                "A minute",
                "Requests to the upload API, by method and status.",
                per_minute('http_requests_total{route=~"/v1/uploads.*"}', "method, status"),
                stacked=True,
            ),
            lines(
                "Time of a piece",
                "How long 95 % of the requests that carry bytes took at most.",
                quantile(0.95, 'http_request_seconds{route=~"/v1/uploads.*"}', "method"),
                unit="s",
            ),
            lines(
                "No room",
                "Uploads refused because their team holds too much, or because the store is full.",
                per_minute('refusals_total{code=~"too_many_uploads|too_many_bytes|storage_full"}', "code"),
            ),
            bars("Refusals", "Requests answered with a problem, by its code.", so_far("refusals_total", "code")),
        ],
    )
    hostile = Row(
        "Datasets",
        [
            bars("How submissions ended", "Ends reached.", so_far("submissions_total", "outcome")),
            lines(
                "Children killed", "By cause, a minute.", per_minute("sandbox_kills_total", "job, cause"), stacked=True
            ),
        ],
    )
    return dashboard("security", "Uploads and security", str(security.__doc__), [requests, uploads, hostile])


def runtime() -> Dashboard:
    """The processes themselves: whether they run, and what they use."""
    jobs = "job, instance"
    processes = Row(
        "Processes",
        [
            lines("Answering", "1 where a process told its metrics.", highest("up", jobs)),
            lines(
                "Since the last start",
                "It falls to 0 where a process began anew.",
                Query("time() - max by (job, instance) (process_start_time_seconds)", _named_by(jobs)),
                unit="s",
            ),
            lines("Memory", "Resident.", highest("process_resident_memory_bytes", jobs), unit="bytes"),
            lines(
                "Processor",
                "Cores in use.",
                Query("sum by (job, instance) (rate(process_cpu_seconds_total[$__rate_interval]))", _named_by(jobs)),
            ),
            lines(
                "Open files",
                "Of those allowed.",
                Query("max by (job, instance) (process_open_fds / process_max_fds)", _named_by(jobs)),
                unit="percentunit",
            ),
            lines(
                "Event loop",
                "How late 99 % of the wake-ups were at most.",
                quantile(0.99, "event_loop_lag_seconds", jobs),
                unit="s",
            ),
        ],
    )
    quiet = Row(
        "What goes wrong quietly",
        [
            lines("Periodic tasks that failed", "A minute.", per_minute("sweep_failures_total", "job, task")),
            lines(
                "Lost races",
                "Guarded writes repeated, a minute.",
                per_minute("write_conflicts_total", "job, collection"),
            ),
            lines(
                "Garbage collections",
                "A minute, by generation.",
                per_minute("python_gc_collections_total", "job, generation"),
            ),
        ],
    )
    return dashboard("runtime", "Runtime", str(runtime.__doc__), [processes, quiet])


def competition() -> Dashboard:
    """The competition: who submits to what, and where the scores lie."""
    chosen = '{challenge=~"$challenge"}'
    now = Row(
        "Now",
        [
            number(
                "Submissions",
                "To the phases under way.",
                Query(f"sum(max by (challenge, phase, outcome) (leaderboard_submissions{chosen}))"),
            ),
            number(
                "Teams with a rank",
                "Counted once in each phase.",
                Query(f"sum(max by (challenge, phase) (leaderboard_teams{chosen}))"),
            ),
            number(
                "Waiting for a score",
                "Submissions that are being judged.",
                Query(
                    "sum(max by (challenge, phase)"
                    ' (leaderboard_submissions{challenge=~"$challenge", outcome="pending"}))'
                ),
            ),
            number(
                "Phases under way",
                "Those with a submission; of more than twenty the ones that began last.",
                Query(f"count(max by (challenge, phase) (leaderboard_teams{chosen}))"),
            ),
        ],
    )
    scores = Row(
        "Submissions and scores",
        [
            bars(
                "Submissions",
                "By challenge and phase.",
                Query(
                    f"sum by (challenge, phase) (max by (challenge, phase, outcome) (leaderboard_submissions{chosen}))",
                    _named_by("challenge, phase"),
                ),
            ),
            bars(
                "Where the scores lie",
                "Ranked submissions with a total from so many points up to ten more.",
                Query(
                    f"sum by (band) (max by (challenge, phase, band) (leaderboard_scores{chosen}))", "{{band}} and more"
                ),
            ),
            lines(
                "Submissions over time",
                "All so far, by challenge.",
                Query(
                    f"sum by (challenge) (max by (challenge, phase, outcome) (leaderboard_submissions{chosen}))",
                    "{{challenge}}",
                ),
            ),
            lines(
                "What became of them",
                "All so far, by outcome.",
                Query(
                    f"sum by (outcome) (max by (challenge, phase, outcome) (leaderboard_submissions{chosen}))",
                    "{{outcome}}",
                ),
                stacked=True,
            ),
            lines(
                "Teams with a rank",
                "By challenge and phase.",
                highest(f"leaderboard_teams{chosen}", "challenge, phase"),
            ),
        ],
    )
    challenge = choice(
        "challenge", "Challenge", "Challenges with a phase under way", "label_values(leaderboard_teams, challenge)"
    )
    return dashboard("competition", "Competition", str(competition.__doc__), [now, scores], [challenge])


DASHBOARDS = (overview, stages, consumers, dead_letters, deliveries, security, runtime, competition)
