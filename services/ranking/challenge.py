"""What ranking keeps of a challenge: its phases, and who may read their boards. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.contracts.board import LATE, ChallengeAmended, ChallengePublished, Visibility


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase: the half-open interval [starts_at, ends_at), and whether its board is private until it is over."""

    name: str
    starts_at: datetime
    ends_at: datetime
    private: bool = False


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge at its newest known version; `closed` names the phases that the board has declared over."""

    id: str
    version: int
    sponsor: str
    phases: tuple[Phase, ...]
    closed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, fact: ChallengePublished | ChallengeAmended) -> Challenge:
        """The part of an announced challenge that is kept."""
        return cls(
            id=fact.challenge,
            version=fact.version,
            sponsor=fact.sponsor,
            phases=tuple(
                Phase(phase.name, phase.starts_at, phase.ends_at, phase.leaderboard is Visibility.PRIVATE)
                for phase in fact.phases
            ),
        )

    def phase(self, name: str | None, now: datetime) -> Phase | None:
        """The phase of a name; without one the phase that began last, or the first if none has begun."""
        if name is not None:
            return next((phase for phase in self.phases if phase.name == name), None)
        begun = [phase for phase in self.phases if phase.starts_at <= now]
        return max(begun, key=lambda phase: phase.starts_at, default=next(iter(self.phases), None))

    def open_to_all(self, phase: Phase) -> bool:
        """Whether anybody may read the board of a phase: a private one only once the phase is closed."""
        return not phase.private or phase.name in self.closed

    def provisional(self, phase: Phase, *, pending: int, now: datetime) -> bool:
        """Whether scores may still come for what was in time: some are awaited, or may yet be handed in late."""
        return pending > 0 or phase.ends_at <= now < phase.ends_at + LATE
