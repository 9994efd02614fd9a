"""A sponsor's receiver of webhooks: an HTTP server that believes nothing it cannot verify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True)
class Delivery:
    """One webhook as it arrived."""

    sponsor: str
    id: str
    event: dict[str, Any]
    verified: bool


class Receiver:
    """Takes webhooks at `url_for(sponsor)` and verifies each with that sponsor's secret; a context manager."""

    def __init__(self, heard: Callable[[Delivery], None] = lambda delivery: None, *, port: int = 0) -> None:
        """`heard` is told of each delivery, in the thread that took it; without a `port` a free one is taken."""
        self._heard = heard
        self._lock = Lock()
        self._secrets: dict[str, Webhook] = {}
        self._deliveries: list[Delivery] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, name="sponsor's receiver", daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_port)

    def url_for(self, sponsor: str) -> str:
        """The address at which one sponsor's webhooks are taken."""
        return f"http://127.0.0.1:{self._server.server_port}/{sponsor}"

    def trust(self, sponsor: str, secret: str) -> None:
        """Verifies what comes to one sponsor's address with this `whsec_…` secret from now on."""
        with self._lock:
            self._secrets[sponsor] = Webhook(secret)

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything that arrived, in order; repeated deliveries of one webhook too."""
        with self._lock:
            return list(self._deliveries)

    def _take(self, sponsor: str, headers: dict[str, str], body: bytes) -> int:
        with self._lock:
            secret = self._secrets.get(sponsor)
        try:
            if secret is None:
                raise WebhookVerificationError("No secret is known for this address")
            event, verified = secret.verify(body, headers), True
        except WebhookVerificationError as error:
            event, verified = {"refused": str(error)}, False
        delivery = Delivery(sponsor, headers.get("webhook-id", ""), event, verified)
        with self._lock:
            self._deliveries.append(delivery)
        self._heard(delivery)
        return 204 if verified else 401

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = take(self.path.strip("/"), headers, body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return  # the demo's screen says what arrived

        return Handler
