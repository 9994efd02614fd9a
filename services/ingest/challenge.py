"""What ingest keeps of a challenge, and the rule that decides whether an upload was in time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.ingest.quota import Allowance
from shared.contracts.board import ChallengeAmended, ChallengePublished


class PhaseClosed(Exception):
    """An upload was not complete inside a phase that still takes submissions; `phase` is the one nearest to it."""

    def __init__(self, phase: Phase) -> None:
        super().__init__(phase.name)
        self.phase = phase


@dataclass(frozen=True, slots=True)
class Phase:
    """The half-open interval [starts_at, ends_at) of the moment an upload was complete."""

    name: str
    starts_at: datetime
    ends_at: datetime

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies in the phase."""
        return self.starts_at <= moment < self.ends_at

    def away_from(self, moment: datetime) -> timedelta:
        """How far a moment lies outside the phase."""
        return max(self.starts_at - moment, moment - self.ends_at, timedelta())


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge as far as taking in submissions needs it: the newest version that was announced.

    `terms` is what it is judged by, data demand and rubric, as JSON text: names of columns are no names of fields.
    """

    id: str
    version: int
    sponsor: str
    phases: tuple[Phase, ...]
    allowance: Allowance
    max_bytes: int
    formats: tuple[str, ...]
    terms: str = "{}"

    @classmethod
    def from_fact(cls, fact: ChallengePublished | ChallengeAmended) -> Challenge:
        """The part of an announced challenge that is kept."""
        return cls(
            id=fact.challenge,
            version=fact.version,
            sponsor=fact.sponsor,
            phases=tuple(Phase(phase.name, phase.starts_at, phase.ends_at) for phase in fact.phases),
            allowance=Allowance(fact.quota.per_day, fact.quota.total),
            max_bytes=fact.limits.bytes,
            formats=fact.limits.formats,
            terms=json.dumps({"demand": fact.demand, "rubric": fact.rubric}),
        )

    def scan_order(self) -> dict[str, Any]:
        """What a scan has to know so that its gates are those of the score."""
        terms: dict[str, Any] = json.loads(self.terms)
        return {name: value for name, value in terms.items() if value}

    def phase_of(self, received_at: datetime, *, now: datetime, late: timedelta) -> Phase:
        """The phase that an upload counts for, if the submission comes at most `late` after the phase's end.

        Raises:
            PhaseClosed: the upload was complete outside every phase, or the submission comes too late.
        """
        for phase in self.phases:
            if phase.holds(received_at):
                if now >= phase.ends_at + late:
                    raise PhaseClosed(phase)
                return phase
        raise PhaseClosed(min(self.phases, key=lambda phase: phase.away_from(received_at)))
