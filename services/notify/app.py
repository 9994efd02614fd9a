"""Notify's API and its reading of events: `python -m services.notify.app`."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request
from fastapi.responses import JSONResponse

from services.notify import commands
from services.notify.api import create_router
from services.notify.handlers import create_handlers
from services.notify.sender import Resolver
from services.notify.settings import NotifySettings
from services.notify.store_mongo import MongoStore
from services.notify.subscription import SubscriptionRefused
from shared.app import Service
from shared.auth import CredentialProjection
from shared.http import IdempotencyKeys
from shared.problems import Fault, Problem
from shared.repeats import Repeats


def create_service(settings: NotifySettings) -> Service:
    """The process, composed and not yet running."""
    service = Service("notify", settings)
    store = MongoStore(service.database, relay=service.relay, clock=service.clock, ids=service.ids)
    credentials = CredentialProjection(service.database)
    keys = IdempotencyKeys(service.database)
    service.prepare(store.prepare)
    service.prepare(keys.prepare)
    for topic, handler in create_handlers(store, credentials).items():
        service.stream(topic)(handler)
    service.sweep("measure deliveries", timedelta(seconds=10), lambda: commands.measure(store))
    router = create_router(
        store,
        service.ids,
        Repeats(keys, service.ids),
        Resolver(),
        allow_loopback=settings.webhook_allow_loopback,
    )
    app = service.api(router, title="Jiebang notify")
    service.authenticate(credentials)

    @app.exception_handler(SubscriptionRefused)
    async def refused(_request: Request, error: SubscriptionRefused) -> JSONResponse:
        return Problem(409, error.code, error.title, error.detail, fault=Fault.SPONSOR).response()

    return service


if __name__ == "__main__":
    create_service(NotifySettings.load_or_exit()).run()
