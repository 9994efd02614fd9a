"""What scoring does about the events of others: translate, and call one command."""

from __future__ import annotations

from typing import Any

from services.scoring import certifying, commands
from services.scoring.certifying import Registry
from services.scoring.store import AllTerms, Scores
from shared.auth import CredentialProjection
from shared.contracts.board import ChallengeAmended, ChallengePublished
from shared.contracts.envelope import Event
from shared.contracts.intake import SubmissionAccepted, SubmissionRanked
from shared.jobs import Jobs


class Handlers:
    """One handler per topic that scoring reads."""

    def __init__(
        self,
        *,
        all_terms: AllTerms,
        jobs: Jobs,
        scores: Scores,
        credentials: CredentialProjection,
        registry: Registry,
    ) -> None:
        self._all_terms = all_terms
        self._jobs = jobs
        self._scores = scores
        self._credentials = credentials
        self._registry = registry

    async def on_submissions(self, event: Event[Any]) -> None:
        """Queue the scoring of what was accepted; certify what was ranked."""
        match event.data:
            case SubmissionAccepted():
                await commands.queue_score(event, all_terms=self._all_terms, jobs=self._jobs, scores=self._scores)
            case SubmissionRanked():
                await certifying.certify(event, scores=self._scores, registry=self._registry)

    async def on_challenges(self, event: Event[Any]) -> None:
        """Keep demands and rubrics."""
        match event.data:
            case ChallengePublished() | ChallengeAmended() as fact:
                await commands.remember_terms(fact, all_terms=self._all_terms)

    async def on_teams(self, event: Event[Any]) -> None:
        """Keep whose key is whose."""
        await self._credentials.apply(event)
