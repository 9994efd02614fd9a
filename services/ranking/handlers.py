"""What ranking does about the events of others: translate, and call one command."""

from __future__ import annotations

from typing import Any

from services.ranking import commands
from services.ranking.boards import Boards
from services.ranking.store import Challenges
from shared.auth import CredentialProjection
from shared.clock import Clock
from shared.contracts.board import ChallengeAmended, ChallengePublished, PhaseClosed
from shared.contracts.envelope import Event


class Handlers:
    """One handler per topic that ranking reads."""

    def __init__(
        self, *, boards: Boards, challenges: Challenges, credentials: CredentialProjection, clock: Clock
    ) -> None:
        self._boards = boards
        self._clock = clock
        self._challenges = challenges
        self._credentials = credentials

    async def on_scores(self, event: Event[Any]) -> None:
        """Fold scores, and scorings that failed."""
        await commands.record(event, boards=self._boards, clock=self._clock)

    async def on_submissions(self, event: Event[Any]) -> None:
        """Count what is awaited, and lay tombstones."""
        await commands.record(event, boards=self._boards, clock=self._clock)

    async def on_challenges(self, event: Event[Any]) -> None:
        """Keep the phases of challenges."""
        match event.data:
            case ChallengePublished() | ChallengeAmended() as fact:
                await commands.remember_challenge(fact, challenges=self._challenges)
            case PhaseClosed() as fact:
                await commands.close_phase(fact, challenges=self._challenges)

    async def on_teams(self, event: Event[Any]) -> None:
        """Keep whose key is whose, for private boards."""
        await self._credentials.apply(event)
