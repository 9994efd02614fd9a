"""An upload: bytes that arrive in parts at a moving offset, become whole, and are compared with what was announced."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

FILENAME_BYTES = 255
"""The longest file name, in UTF-8: what every common file system can hold."""


class UploadState(StrEnum):
    """Where an upload is: only `verified` can become a submission."""

    RECEIVING = "receiving"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    REFUSED = "refused"
    EXPIRED = "expired"


UNENDED = (UploadState.RECEIVING, UploadState.VERIFYING, UploadState.VERIFIED)


class OffsetConflict(Exception):
    """Bytes came for another offset than the one the upload has reached."""

    def __init__(self, expected: int, received: int) -> None:
        super().__init__(f"expected offset {expected}, received {received}")
        self.expected = expected
        self.received = received


class UploadClosed(Exception):
    """The upload takes no more bytes: it is complete, refused or expired."""

    def __init__(self, state: UploadState) -> None:
        super().__init__(f"the upload is {state}")
        self.state = state


class BeyondLength(Exception):
    """More bytes came than the upload's length allows."""


class FilenameRefused(ValueError):
    """A file name that is no plain name of one file; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def plain_filename(name: str) -> str:
    """The name itself if it is a plain name of one file.

    Raises:
        FilenameRefused: it is empty, a path, has control characters, or is longer than 255 bytes.
    """
    if not name or name in (".", ".."):
        raise FilenameRefused("it names no file")
    if "/" in name or "\\" in name:
        raise FilenameRefused("it is a path")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in name):
        raise FilenameRefused("it has a control character")
    try:
        length = len(name.encode())
    except UnicodeEncodeError as error:
        raise FilenameRefused("it is not Unicode text") from error
    if length > FILENAME_BYTES:
        raise FilenameRefused(f"it is longer than {FILENAME_BYTES} bytes")
    return name


@dataclass(frozen=True, slots=True)
class Part:
    """A stored piece of the stream: the object `<offset>-<nonce>` with `size` bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class UploadProblem:
    """Why an upload came to nothing."""

    code: str
    title: str
    detail: str
    expected: str | None = None
    received: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """The document of an upload. A part counts when the offset has moved over it, and not before.

    `touched_at` is the moment of the last byte, `completed_at` the moment at which the offset reached the length:
    what decides whether a submission was in time. `kept` says that a submission was made of it, so that it never
    expires; `collected` that no object is left which it does not need.
    """

    id: str
    team: str
    length: int
    sha256: str
    filename: str
    filetype: str | None
    created_at: datetime
    touched_at: datetime
    state_at: datetime
    state: UploadState = UploadState.RECEIVING
    offset: int = 0
    parts: tuple[Part, ...] = ()
    completed_at: datetime | None = None
    problem: UploadProblem | None = None
    key: str | None = None
    fingerprint: str | None = None
    kept: bool = False
    collected: bool = False
    traceparent: str | None = None
    """The trace of its creation, which what becomes of it continues."""

    @classmethod
    def create(
        cls,
        *,
        id: str,
        team: str,
        length: int,
        sha256: str,
        filename: str,
        filetype: str | None,
        at: datetime,
        key: str | None = None,
        fingerprint: str | None = None,
        traceparent: str | None = None,
    ) -> Upload:
        """A new upload; one of no bytes is complete at once."""
        upload = cls(
            id=id,
            team=team,
            length=length,
            sha256=sha256,
            filename=filename,
            filetype=filetype,
            created_at=at,
            touched_at=at,
            state_at=at,
            key=key,
            fingerprint=fingerprint,
            traceparent=traceparent,
        )
        return upload._whole(at) if length == 0 else upload

    @property
    def ended(self) -> bool:
        """Whether it came to nothing."""
        return self.state not in UNENDED

    @property
    def holds_room(self) -> bool:
        """Whether its bytes are stored or may yet come: until the end, and for one given up whole until collected.

        The bytes of others that ended are deleted at once.
        """
        given_up = self.state is UploadState.EXPIRED and self.offset == self.length
        return not self.ended or (given_up and not self.collected)

    def expect(self, offset: int) -> None:
        """Check that bytes may come at an offset.

        Raises:
            UploadClosed: the upload takes no more bytes.
            OffsetConflict: it has reached another offset.
        """
        if offset != self.offset:
            raise OffsetConflict(self.offset, offset)
        if self.state is not UploadState.RECEIVING:
            raise UploadClosed(self.state)

    def append(self, offset: int, parts: tuple[Part, ...], at: datetime) -> Upload:
        """Move the offset over stored parts; the last byte makes the upload whole.

        Raises:
            UploadClosed: the upload takes no more bytes.
            OffsetConflict: somebody else moved the offset first.
            BeyondLength: the parts go beyond the announced length.
        """
        self.expect(offset)
        reached = offset + sum(part.size for part in parts)
        if reached > self.length:
            raise BeyondLength(self.id)
        moved = replace(self, offset=reached, parts=self.parts + parts, touched_at=at)
        return moved._whole(at) if reached == self.length else moved

    def _whole(self, at: datetime) -> Upload:
        return replace(self, state=UploadState.VERIFYING, completed_at=at, state_at=at)

    def verify(self, sha256: str, at: datetime) -> Upload:
        """Compare what arrived with what was announced; a second verdict changes nothing."""
        if self.state is not UploadState.VERIFYING:
            return self
        if sha256 == self.sha256:
            # Its pieces are deleted next; if that is cut short they are pieces nobody speaks of, and collected so.
            return replace(self, state=UploadState.VERIFIED, state_at=at, collected=True)
        problem = UploadProblem(
            code="digest_mismatch",
            title="The uploaded bytes are not the ones that were announced.",
            detail="Compute the SHA-256 of the file again and upload it anew.",
            expected=self.sha256,
            received=sha256,
        )
        return self._ended(UploadState.REFUSED, problem, at)

    def give_up(self, at: datetime) -> Upload:
        """End an upload that the platform could not verify after all attempts."""
        if self.state is not UploadState.VERIFYING:
            return self
        problem = UploadProblem(
            code="verification_failed",
            title="The platform could not read the uploaded bytes back.",
            detail="Upload the file again; this was not your fault, and no quota was used.",
        )
        return self._ended(UploadState.REFUSED, problem, at)

    def terminate(self, at: datetime) -> Upload:
        """End an upload because its team wants it gone."""
        if self.state in (UploadState.REFUSED, UploadState.EXPIRED):
            return self
        problem = UploadProblem(
            code="upload_terminated", title="The upload was deleted by its team.", detail="Upload the file again."
        )
        return self._ended(UploadState.EXPIRED, problem, at)

    def expires_at(self, lifetime: timedelta) -> datetime:
        """When the upload expires, unless another byte comes or a submission is made of it."""
        return self.touched_at + lifetime

    def expire(self, lifetime: timedelta, at: datetime) -> Upload:
        """End an upload that got no byte for its lifetime; one that is being verified is left alone."""
        expires = self.state in (UploadState.RECEIVING, UploadState.VERIFIED) and not self.kept
        if not expires or at < self.expires_at(lifetime):
            return self
        problem = UploadProblem(
            code="upload_expired",
            title="The upload expired, since nothing was done with it for too long.",
            detail="Upload the file again.",
        )
        return self._ended(UploadState.EXPIRED, problem, at)

    def keep(self) -> Upload:
        """Note that a submission was made of the upload."""
        return replace(self, kept=True)

    def mark_collected(self) -> Upload:
        """Note that the objects the upload no longer needs are gone."""
        return replace(self, collected=True)

    def _ended(self, state: UploadState, problem: UploadProblem, at: datetime) -> Upload:
        return replace(self, state=state, problem=problem, state_at=at, collected=False)
