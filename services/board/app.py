"""The board: `python -m services.board.app`."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

from jiebang.errors import JiebangError
from services.board import commands
from services.board.api import as_problem, create_router
from services.board.keys import StoredCredentials
from services.board.settings import BoardSettings
from services.board.store import MongoStore
from shared.app import Service
from shared.http import IdempotencyKeys
from shared.repeats import Repeats


def create_service(settings: BoardSettings) -> Service:
    """The process, composed and not yet running."""
    service = Service("board", settings)
    store = MongoStore(service.database, relay=service.relay, clock=service.clock, ids=service.ids)
    keys = IdempotencyKeys(service.database)
    service.prepare(store.prepare)
    service.prepare(keys.prepare)
    app = service.api(create_router(store, Repeats(keys, service.ids)), title="Jiebang board")
    service.authenticate(StoredCredentials(store))

    @app.exception_handler(JiebangError)
    async def refused(_request: Request, error: JiebangError) -> JSONResponse:
        return as_problem(error).response()

    service.sweep("phases", settings.sweep_every, lambda: commands.turn_phases(store=store))
    return service


if __name__ == "__main__":
    create_service(BoardSettings.load_or_exit()).run()
