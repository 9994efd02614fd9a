"""The client of the platform's API: what the `jiebang` command uses, for programs too."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx

from jiebang.errors import Fault, JiebangError
from jiebang.packing import Package

Json = dict[str, Any]

_TUS = {"Tus-Resumable": "1.0.0"}
_PATIENCE_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 8.0
# What a gateway or a service says while the thing behind it is away.
_COMES_BACK = frozenset({502, 503, 504})
FINAL_STATES = frozenset({"ranked", "rejected", "failed", "cancelled"})


class Problem(JiebangError):
    """The API answered with a problem document; `status` is the HTTP status."""

    def __init__(self, status: int, code: str, title: str, detail: str, fault: Fault, **fields: Any) -> None:
        super().__init__(code, title, detail, **fields)
        self.status = status
        self.fault = fault

    @classmethod
    def of(cls, response: httpx.Response) -> Problem:
        """The problem in an error response, also where something in between has answered with another kind of body."""
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            body = {}
        fields = {k: v for k, v in body.items() if k not in {"type", "status", "code", "title", "detail", "fault"}}
        fault = body.get("fault")
        return cls(
            response.status_code,
            str(body.get("code", f"http_{response.status_code}")),
            str(body.get("title", f"The server answered {response.status_code} {response.reason_phrase}.")),
            str(body.get("detail", "")),
            Fault(fault)
            if fault in list(Fault)
            else (Fault.PLATFORM if response.is_server_error else Fault.PARTICIPANT),
            **fields,
        )


class Unreachable(JiebangError):
    """Nobody answered at the server's address."""

    fault = Fault.PLATFORM

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            "unreachable",
            f"The server at {url} could not be reached: {why}.",
            "Check the address (`jiebang login URL`) and the network, then try again.",
            url=url,
        )


class WrongAccess(JiebangError):
    """What was given as the server's address, or as a key for it, cannot be one."""


class Client:
    """One server, one key. Reads and idempotent writes are tried again for half a minute while the server is away.

    Raises `WrongAccess` for an address or a key that cannot be one, `Problem` when the server says no, `Unreachable`
    when it says nothing. Also a context manager.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        patience: float = _PATIENCE_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        _require_address(self.url)
        if key is not None and not (key.isascii() and key.isprintable()):
            raise WrongAccess(
                "malformed_key", "That is not a key of this platform.", "A key looks like jb_team_…; copy it whole."
            )
        headers = {"Accept": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(60.0, connect=10.0),
            transport=transport,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int | None) -> Any:
        """Read one JSON document; `None` in the query is left out."""
        return self._send("GET", path, params=_given(query)).json()

    def get_text(self, path: str, media_type: str) -> str:
        """Read a document in another representation."""
        return self._send("GET", path, headers={"Accept": media_type}).text

    def get_bytes(self, path: str) -> bytes:
        """Read a document as the bytes that it is."""
        return self._send("GET", path, headers={"Accept": "*/*"}).content

    def get_if_changed(self, path: str, etag: str | None, **query: str | int | None) -> tuple[Any | None, str | None]:
        """Read a document only when its ETag is another one; the document (None when it is the same) and its ETag."""
        headers = {"If-None-Match": etag} if etag else {}
        response = self._send("GET", path, params=_given(query), headers=headers)
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return None, etag
        return response.json(), response.headers.get("ETag")

    def each(self, path: str, **query: str | int | None) -> Iterator[Any]:
        """Every item of a list, page by page; the items are under the one key of the body that holds a list."""
        after: str | None = None
        while True:
            body = self.get(path, **{**query, "after": after})
            yield from next((value for value in body.values() if isinstance(value, list)), [])
            after = body.get("next")
            if not after:
                return

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None) -> Any:
        """Create or command; with the same key (a fresh one when not given) the same thing happens once."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        response = self._send("POST", path, json=dict(body or {}), headers=headers)
        return response.json() if response.content else {}

    # Uploads

    def upload(
        self,
        package: Package,
        sha256: str,
        *,
        resume: str | None = None,
        begun: Callable[[str], None] = lambda location: None,
        progress: Callable[[int], None] = lambda sent: None,
    ) -> str:
        """Send a package over tus and answer with the upload's id.

        `resume` is the address of an upload that was begun before; `begun` is told the address in use, to be kept for
        the next time. A broken connection is taken up where the server says it stopped; `Unreachable` when it breaks
        for half a minute without a byte getting through.
        """
        location = self._resumable(self._at_our_server(resume), package.length) if resume else None
        if location is None:
            location = self._begin(package, sha256)
        begun(location)
        offset = self._offset(location)
        last_progress = time.monotonic()
        while True:
            progress(offset)
            if offset >= package.length:
                return location.rstrip("/").rpartition("/")[2]
            try:
                self._patch(location, package, offset, progress)
            except httpx.TransportError as error:
                why: JiebangError = Unreachable(self.url, _reason(error))
            except Problem as problem:
                # A conflict of offsets only says that the server knows better where we are.
                if problem.status not in _COMES_BACK | {409, 423}:
                    raise
                why = problem
            else:
                why = Unreachable(self.url, "the upload makes no progress")
            reached = self._offset(location)
            if reached > offset:
                last_progress = time.monotonic()
            elif time.monotonic() - last_progress > self._patience:
                raise why
            else:
                time.sleep(0.5)
            offset = reached

    def _resumable(self, location: str, length: int) -> str | None:
        try:
            response = self._send("HEAD", location, headers=_TUS)
        except Problem as problem:
            if problem.status in {403, 404, 410}:
                return None
            raise
        return location if response.headers.get("Upload-Length") == str(length) else None

    def _begin(self, package: Package, sha256: str) -> str:
        metadata = {"filename": package.filename, "sha256": sha256, "filetype": package.media_type}
        encoded = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())
        response = self._send(
            "POST",
            "/v1/uploads",
            headers={**_TUS, "Upload-Length": str(package.length), "Upload-Metadata": encoded},
            once=True,
        )
        return self._at_our_server(urljoin(f"{self.url}/v1/uploads", response.headers["Location"]))

    def _at_our_server(self, location: str) -> str:
        """The address with our server's origin, so that the key goes nowhere else."""
        ours = urlsplit(self.url)
        return urlsplit(location)._replace(scheme=ours.scheme, netloc=ours.netloc).geturl()

    def _offset(self, location: str) -> int:
        return int(self._send("HEAD", location, headers=_TUS).headers["Upload-Offset"])

    def _patch(self, location: str, package: Package, offset: int, progress: Callable[[int], None]) -> None:
        def counted() -> Iterator[bytes]:
            sent = offset
            for piece in package.read(offset):
                yield piece
                sent += len(piece)
                progress(sent)

        response = self._http.patch(
            location,
            content=counted(),
            headers={
                **_TUS,
                "Upload-Offset": str(offset),
                "Content-Type": "application/offset+octet-stream",
                "Content-Length": str(package.length - offset),
            },
        )
        if response.is_error:
            raise Problem.of(response)

    def submit(self, challenge: str, upload: str, note: str | None = None) -> Json:
        """Make a submission of a complete upload; doing it again gives the same submission.

        Waits while the server is still reading the upload once more to verify it.
        """
        body = {"challenge": challenge, "upload": upload} | ({"note": note} if note else {})
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{challenge}/{upload}/{note or ''}"))
        while True:
            try:
                submission: Json = self.post("/v1/submissions", body, idempotency_key=key)
            except Problem as problem:
                if problem.code != "upload_not_verified":
                    raise
                time.sleep(_seconds(problem.fields.get("retry_after"), 1.0))
            else:
                return submission

    def follow(self, submission: str, *, pause: float = 0.5) -> Iterator[Json]:
        """The submission each time something about it changed, until it has come to its end."""
        etag: str | None = None
        while True:
            document, etag = self.get_if_changed(f"/v1/submissions/{quote(submission)}", etag)
            if document is not None:
                yield document
                if document["state"] in FINAL_STATES:
                    return
            time.sleep(pause)

    def _send(self, method: str, path: str, *, once: bool = False, **request: Any) -> httpx.Response:
        """Send until there is an answer that will not change by waiting; errors are raised as problems."""
        give_up = time.monotonic() + self._patience
        pause = 0.25
        while True:
            try:
                response = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                # What never reached the server cannot have had an effect.
                may_repeat = not once or isinstance(error, httpx.ConnectError)
                if not may_repeat or time.monotonic() + pause > give_up:
                    raise Unreachable(self.url, _reason(error)) from error
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise Unreachable(self.url, _reason(error)) from error
            else:
                if not response.is_error:
                    return response
                pause = max(pause, _seconds(response.headers.get("Retry-After"), 0.0))
                # A key that was issued a moment ago is told to come back; nothing was done for it yet.
                unknown_yet = response.status_code == httpx.codes.UNAUTHORIZED and "Retry-After" in response.headers
                may_repeat = unknown_yet or (response.status_code in _COMES_BACK and not once)
                if not may_repeat or time.monotonic() + pause > give_up:
                    raise Problem.of(response)
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _require_address(url: str) -> None:
    try:
        address = httpx.URL(url)
        good = address.scheme in {"http", "https"} and bool(address.host)
    except (httpx.InvalidURL, UnicodeError):
        good = False
    if not good:
        raise WrongAccess(
            "malformed_url", f"{url!r} is no address of a server.", "Write it as https://jiebang.example."
        )


def _given(query: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in query.items() if value is not None}


def _seconds(value: object, otherwise: float) -> float:
    try:
        return float(str(value))
    except ValueError:
        return otherwise


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
