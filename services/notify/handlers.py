"""What notify does with the events of the other services: who sponsors what, who may call, and what to deliver."""

from __future__ import annotations

from typing import Any

from services.notify import commands
from services.notify.store import Store
from services.notify.subscription import OUTCOMES
from shared.auth import CredentialProjection
from shared.consumption import Handler
from shared.contracts.board import ChallengeAmended, ChallengePublished
from shared.contracts.envelope import Event


def create_handlers(store: Store, credentials: CredentialProjection) -> dict[str, Handler]:
    """The handler of each topic."""

    async def on_challenges(event: Event[Any]) -> None:
        match event.data:
            case ChallengePublished() | ChallengeAmended() as challenge:
                await store.learn_sponsor(challenge.challenge, challenge.sponsor)
            case _:
                await on_outcomes(event)

    async def on_outcomes(event: Event[Any]) -> None:
        if isinstance(event.data, OUTCOMES):
            await commands.queue_deliveries(event, event.data.__dict__["challenge"], store=store)

    return {
        "board.challenges": on_challenges,
        "board.teams": credentials.apply,
        "intake.submissions": on_outcomes,
        "scoring.scores": on_outcomes,
        "ranking.leaderboards": on_outcomes,
    }
