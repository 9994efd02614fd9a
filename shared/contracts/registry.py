"""Every event type there is, and how bytes become events."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.contracts import board, intake, notify, ranking, scoring
from shared.contracts.envelope import Event, Fact, UnknownEvent

FACTS: dict[str, type[Fact]] = {
    fact.type: fact
    for fact in (
        board.ChallengePublished,
        board.ChallengeAmended,
        board.PhaseOpened,
        board.PhaseClosed,
        board.TeamRegistered,
        board.RegistrationAccepted,
        board.CredentialIssued,
        board.CredentialRevoked,
        intake.SubmissionReceived,
        intake.SubmissionAccepted,
        intake.SubmissionRejected,
        intake.SubmissionFailed,
        intake.SubmissionCancelled,
        intake.SubmissionRanked,
        scoring.ScoreCompleted,
        scoring.ScoreFailed,
        scoring.CertificateIssued,
        scoring.CertificateRevoked,
        ranking.EntryRecorded,
        ranking.LeaderboardChanged,
        ranking.LeaderChanged,
        notify.DeliverySucceeded,
        notify.DeliveryFailed,
        notify.SubscriptionDisabled,
    )
}
"""Event type → the fact it carries."""

_EVENTS: dict[str, type[Event[Any]]] = {name: Event[fact] for name, fact in FACTS.items()}  # type: ignore[valid-type]


class MalformedEvent(ValueError):
    """Bytes that are not an event, or an event of a known type whose data breaks its schema; never retried."""


class Topic(BaseModel):
    """One row of topics.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    owner: str
    key: str
    partitions: int
    retention_days: int | None
    readers: tuple[str, ...]


def parse(raw: bytes) -> Event[Fact] | UnknownEvent:
    """The event in `raw`, or an `UnknownEvent` if its type is not known here.

    Raises:
        MalformedEvent: not UTF-8, not JSON, not an envelope, or data against the schema of its type.
    """
    try:
        envelope = json.loads(raw)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise MalformedEvent(f"not JSON: {error.__class__.__name__}") from error
    if not isinstance(envelope, dict):
        raise MalformedEvent("not a JSON object")
    try:
        kind = _EVENTS.get(str(envelope.get("type")))
        if kind is None:
            return UnknownEvent.model_validate(envelope)
        return kind.model_validate(envelope)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors()[:5])
        raise MalformedEvent(f"against the schema of {envelope.get('type')}: {where}") from error


def event_class(fact: type[Fact]) -> type[Event[Any]]:
    """The envelope class of a fact."""
    return _EVENTS[fact.type]


def topics() -> tuple[Topic, ...]:
    """The topics of the platform, as topics.yaml lists them."""
    rows = yaml.safe_load((files("shared.contracts") / "topics.yaml").read_text("utf-8"))
    return tuple(Topic.model_validate(row) for row in rows["topics"])
