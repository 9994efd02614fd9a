"""The headers of tus 1.0, read strictly: what a client may say about an upload, and what is wrong with it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.ingest.upload import FilenameRefused, plain_filename
from shared.problems import Problem

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
CHECKSUM_ALGORITHM = "sha256"
BODY_TYPE = "application/offset+octet-stream"
CHECKSUM_MISMATCH = 460
"""The status that the checksum extension of tus defines."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,19}")
_KEY = re.compile(r"[!-+\--~]+")
"""Printable ASCII without space and comma: what a metadata key may consist of."""
_DEFAULT_FILENAME = "dataset"
_FILETYPE_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a client says about a file before its bytes come."""

    length: int
    sha256: str
    filename: str
    filetype: str | None


def require_version(headers: Mapping[str, str]) -> None:
    """Check that the client speaks our version of tus; 412 otherwise, as the protocol demands."""
    spoken = headers.get("tus-resumable")
    if spoken != VERSION:
        raise Problem(
            412,
            "tus_version",
            f"This server speaks version {VERSION} of tus.",
            f"Send the header Tus-Resumable: {VERSION}.",
            headers={"Tus-Version": VERSION},
            expected=VERSION,
            received=spoken,
        )


def has_body(headers: Mapping[str, str]) -> bool:
    """Whether a creation brings the first bytes along."""
    return headers.get("content-type", "").split(";")[0].strip().lower() == BODY_TYPE


def require_body_type(headers: Mapping[str, str]) -> None:
    """Check that the body is declared as bytes of an upload; 415 otherwise."""
    received = headers.get("content-type", "")
    if not has_body(headers):
        raise Problem(
            415,
            "unsupported_media_type",
            "The bytes of an upload have a media type of their own.",
            f"Send the header Content-Type: {BODY_TYPE}.",
            expected=BODY_TYPE,
            received=received,
        )


def number(headers: Mapping[str, str], name: str) -> int:
    """A header that is a whole number, 0 or more; 400 when it is missing or something else."""
    received = headers.get(name.lower())
    if received is None or not _NUMBER.fullmatch(received):
        raise Problem(
            400,
            "bad_header",
            f"{name} must be a whole number of bytes, 0 or more.",
            f"Send the header {name}.",
            received=received,
        )
    return int(received)


def announcement(headers: Mapping[str, str], *, max_bytes: int) -> Announcement:
    """What the headers of a creation say; a problem when they say too little, too much, or nonsense."""
    if "upload-defer-length" in headers:
        raise Problem(
            400, "length_required", "An upload announces its length when it is created.", "Send Upload-Length."
        )
    length = number(headers, "Upload-Length")
    if length > max_bytes:
        raise Problem(
            413,
            "upload_too_large",
            "The upload is larger than any challenge allows.",
            "Hand in a smaller file, or compress it.",
            limit=max_bytes,
            received=length,
        )
    said = metadata(headers.get("upload-metadata", ""))
    return Announcement(length, _digest(said), _filename(said), _text(said, "filetype")[:_FILETYPE_LENGTH] or None)


def metadata(header: str) -> dict[str, bytes]:
    """The pairs of an Upload-Metadata header: `key base64, key base64, key`."""
    pairs: dict[str, bytes] = {}
    for pair in header.split(","):
        words = pair.split()
        if not words:
            continue
        key, value = words[0], words[1] if len(words) == 2 else ""
        if len(words) > 2 or not _KEY.fullmatch(key) or key in pairs:
            raise _bad_metadata(key)
        try:
            pairs[key] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _bad_metadata(key) from error
    return pairs


def write_metadata(pairs: Mapping[str, str | None]) -> str:
    """An Upload-Metadata header that says these pairs."""
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items() if value is not None
    )


def checksum(headers: Mapping[str, str]) -> bytes | None:
    """The SHA-256 that the client sent along with a body, None if it sent none."""
    header = headers.get("upload-checksum")
    if header is None:
        return None
    algorithm, _, value = header.partition(" ")
    if algorithm != CHECKSUM_ALGORITHM:
        raise Problem(
            400,
            "checksum_algorithm",
            f"The only checksum this server knows is {CHECKSUM_ALGORITHM}.",
            "Send Upload-Checksum: sha256 <base64>.",
            expected=CHECKSUM_ALGORITHM,
            received=algorithm,
        )
    try:
        digest = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise Problem(
            400, "bad_header", "Upload-Checksum must hold 32 bytes in base64.", "Send Upload-Checksum: sha256 <base64>."
        )
    return digest


def _digest(said: Mapping[str, bytes]) -> str:
    sha256 = _text(said, "sha256")
    if not sha256:
        raise Problem(
            422,
            "digest_required",
            "An upload announces the SHA-256 of its bytes.",
            "Put sha256 into Upload-Metadata: the base64 of its 64 lower-case hex digits.",
        )
    if not _DIGEST.fullmatch(sha256):
        raise Problem(
            422,
            "digest_malformed",
            "The announced SHA-256 is not 64 lower-case hex digits.",
            "Put sha256 into Upload-Metadata: the base64 of its 64 lower-case hex digits.",
            received=sha256[:80],
        )
    return sha256


def _filename(said: Mapping[str, bytes]) -> str:
    name = _text(said, "filename")
    try:
        return plain_filename(name or _DEFAULT_FILENAME)
    except FilenameRefused as error:
        raise Problem(
            422,
            "filename_refused",
            f"The file name cannot be used: {error.reason}.",
            "Announce the plain name of one file, at most 255 bytes long.",
        ) from error


def _text(said: Mapping[str, bytes], key: str) -> str:
    try:
        return said.get(key, b"").decode()
    except UnicodeDecodeError as error:
        raise _bad_metadata(key) from error


def _bad_metadata(key: str) -> Problem:
    return Problem(
        400,
        "bad_metadata",
        "Upload-Metadata cannot be read.",
        "Send pairs of a key and the base64 of UTF-8 text, separated by commas.",
        key=key[:80],
    )
