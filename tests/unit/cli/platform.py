"""A platform small enough to read: the API's answers over real HTTP, with faults on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Json = dict[str, Any]
Answer = tuple[int, Any, dict[str, str]]

RECEIPT_TYPE = "application/vnd.jiebang.receipt+json"


def signed_receipt(key: Ed25519PrivateKey, facts: Json, keyid: str = "key-1") -> Json:
    """A DSSE envelope over `facts`."""
    payload = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(RECEIPT_TYPE), RECEIPT_TYPE.encode(), len(payload), payload)
    return {
        "payloadType": RECEIPT_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(key.sign(signed)).decode()}],
    }


def public_keys(key: Ed25519PrivateKey, keyid: str = "key-1") -> Json:
    """The document of `GET /v1/keys`."""
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"keys": [{"keyid": keyid, "algorithm": "ed25519", "public": base64.b64encode(public).decode()}]}


@dataclass
class Upload:
    length: int
    sha256: str
    filename: str
    content: bytearray = field(default_factory=bytearray)


def problem(status: int, code: str, title: str, **fields: Any) -> Answer:
    return status, {"status": status, "code": code, "title": title, "detail": "Do it better.", **fields}, {}


class Platform:
    """The server and what it remembers. `answers` overrides routes: (method, path) to an answer or a callable."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.uploads: dict[str, Upload] = {}
        self.submissions: dict[str, Json] = {}
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: dict[tuple[str, str], Answer | Callable[[Any], Answer]] = {}
        self.break_after: list[int] = []
        """For each PATCH to come: after how many bytes the connection breaks."""
        self.hold_after: int | None = None
        """After how many bytes of a PATCH the server reads no further, until `release` is set."""
        self.release = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Platform:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def asked(self, method: str, path: str) -> list[tuple[dict[str, str], Any]]:
        """The requests of one route: headers and body."""
        return [(headers, body) for m, p, headers, body in self.requests if (m, p) == (method, path)]

    def answer(self, method: str, path: str, query: Json, headers: dict[str, str], body: Any) -> Answer:
        chosen = self.answers.get((method, path))
        if chosen is not None:
            return chosen(body) if callable(chosen) else chosen
        match method, path.strip("/").split("/"):
            case "POST", ["v1", "uploads"]:
                return self._begin(headers)
            case "HEAD", ["v1", "uploads", name]:
                return self._offset(name)
            case "POST", ["v1", "submissions"]:
                return self._submit(body, headers)
            case "GET", ["v1", "submissions", name]:
                return self._read(name, headers)
            case "GET", ["v1", "keys"]:
                return 200, public_keys(self.key), {}
            case "GET", ["v1", "challenges"]:
                return self._challenges(query)
        return problem(404, "not_found", f"There is nothing at {path}.")

    def _begin(self, headers: dict[str, str]) -> Answer:
        metadata = dict(entry.split(" ") for entry in headers["upload-metadata"].split(","))
        sha256, filename = (base64.b64decode(metadata[name]).decode() for name in ("sha256", "filename"))
        name = f"upl_{len(self.uploads) + 1}"
        self.uploads[name] = Upload(int(headers["upload-length"]), sha256, filename)
        # As a service behind a gateway that forgot to say so.
        return 201, None, {"Location": f"http://internal.invalid/v1/uploads/{name}"}

    def _offset(self, name: str) -> Answer:
        upload = self.uploads.get(name)
        if upload is None:
            return 404, None, {}
        return 200, None, {"Upload-Offset": str(len(upload.content)), "Upload-Length": str(upload.length)}

    def _submit(self, body: Json, headers: dict[str, str]) -> Answer:
        upload = self.uploads[body["upload"]]
        assert hashlib.sha256(upload.content).hexdigest() == upload.sha256
        name = f"sub_{headers['idempotency-key']}"
        facts = {
            "submission": name,
            "challenge": body["challenge"],
            "digest": upload.sha256,
            "received_at": "2026-01-31T10:00:00Z",
        }
        self.submissions[name] = {
            "id": name,
            "state": "received",
            "received_at": "2026-01-31T10:00:00Z",
            "timeline": [{"state": "received", "at": "2026-01-31T10:00:00Z"}],
            "receipt": signed_receipt(self.key, facts),
            "quota": {"per_day": 5, "used_today": 2, "total": 20, "used_total": 16},
        }
        return 201, self.submissions[name], {}

    def _read(self, name: str, headers: dict[str, str]) -> Answer:
        facts = self.submissions[name]
        etag = f'"{facts["state"]}"'
        if headers.get("if-none-match") == etag:
            return 304, None, {}
        answer = (200, dict(facts), {"ETag": etag})
        following = {"received": "scanning", "scanning": "scored", "scored": "ranked"}
        if facts["state"] in following:
            facts["state"] = following[facts["state"]]
        if facts["state"] == "ranked":
            facts |= {"rank": 1, "total": "87.125000", "grade": "B"}
        return answer

    def _challenges(self, query: Json) -> Answer:
        first = {"id": "chl_1", "title": {"zh": "企鹅", "en": "Penguins"}, "sector": "science", "phases": []}
        second = first | {"id": "chl_2", "title": {"en": "Weather"}}
        if query.get("after") == "chl_1":
            return 200, {"challenges": [second], "next": None}, {}
        return 200, {"challenges": [first], "next": "chl_1"}, {}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                url = urlsplit(self.path)
                if self.command == "PATCH":
                    self._receive(url.path, headers)
                    return
                raw = self.rfile.read(int(headers.get("content-length", 0)))
                body = json.loads(raw) if raw else None
                platform.requests.append((self.command, url.path, headers, body))
                self._send(*platform.answer(self.command, url.path, dict(parse_qsl(url.query)), headers, body))

            do_GET = do_POST = do_HEAD = do_DELETE = do_PATCH = _serve

            def _receive(self, path: str, headers: dict[str, str]) -> None:
                platform.requests.append(("PATCH", path, headers, None))
                upload = platform.uploads[path.rpartition("/")[2]]
                assert headers["upload-offset"] == str(len(upload.content))
                left = int(headers["content-length"])
                if platform.hold_after is not None:
                    upload.content += self.rfile.read(platform.hold_after)
                    platform.release.wait(60)
                    self.close_connection = True
                    return
                until = platform.break_after.pop(0) if platform.break_after else None
                if until is not None:
                    upload.content += self.rfile.read(min(until, left))
                    self.close_connection = True
                    self.connection.close()
                    return
                upload.content += self.rfile.read(left)
                self._send(204, None, {"Upload-Offset": str(len(upload.content))})

            def _send(self, status: int, body: Any, headers: dict[str, str]) -> None:
                content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status not in {204, 304}:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        return Handler
