"""What ingest does about the events of others: translate, and call one command."""

from __future__ import annotations

from typing import Any

from services.ingest import commands
from services.ingest.challenge import Challenge
from services.ingest.intake import Intake
from shared.auth import CredentialProjection
from shared.contracts.board import (
    ChallengeAmended,
    ChallengePublished,
    CredentialIssued,
    CredentialRevoked,
    RegistrationAccepted,
)
from shared.contracts.envelope import Event
from shared.contracts.ranking import EntryRecorded
from shared.contracts.scoring import ScoreCompleted, ScoreFailed


class Handlers:
    """One handler per topic that ingest reads."""

    def __init__(self, intake: Intake, credentials: CredentialProjection) -> None:
        self._intake = intake
        self._credentials = credentials

    async def on_challenges(self, event: Event[Any]) -> None:
        """Keep the newest version of each challenge."""
        match event.data:
            case ChallengePublished() | ChallengeAmended() as fact:
                await self._intake.board.put_challenge(Challenge.from_fact(fact), event.sequence)

    async def on_teams(self, event: Event[Any]) -> None:
        """Keep who may submit where, and whose key is whose."""
        match event.data:
            case RegistrationAccepted() as fact:
                await self._intake.board.put_registration(fact.team, fact.challenge)
            case CredentialIssued() | CredentialRevoked():
                await self._credentials.apply(event)

    async def on_scores(self, event: Event[Any]) -> None:
        """Move a submission on to its score, or fail it."""
        match event.data:
            case ScoreCompleted():
                await commands.record_score(event, self._intake)
            case ScoreFailed():
                await commands.fail_score(event, self._intake)

    async def on_leaderboards(self, event: Event[Any]) -> None:
        """Move a submission on to its rank."""
        match event.data:
            case EntryRecorded():
                await commands.record_rank(event, self._intake)
