"""The certificates of the demo: fetched as a team would, kept to be handed over, and verified without the platform."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from jiebang.certificate.verification import Verification, read_bundle, root_key, verify_bundle
from jiebang.client import Client, Problem
from jiebang.dataset.opening import open_dataset

_SECONDS = 30.0


class NotVerified(Exception):
    """A certificate did not come, or is not what it must be; the message says what."""


def keep_root(public: Client, folder: Path) -> None:
    """Writes the root key that the platform's certificates are known by into a folder."""
    folder.mkdir()
    (folder / "root.pem").write_text(public.get("/v1/certificates/keys")["pem"], encoding="utf-8")


def keep_certificate(team: Client, submission: str, file: Path) -> None:
    """Writes the certificate of a ranked submission into a file, as soon as it was issued.

    Raises:
        NotVerified: it was not issued in time.
    """
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            file.write_bytes(team.get_bytes(f"/v1/certificates/{submission}"))
        except Problem as problem:
            if problem.status != 404 or time.monotonic() > deadline:
                raise NotVerified(f"no certificate of {submission}: {problem}") from None
            time.sleep(0.2)
        else:
            return


def verified(certificate: Path, dataset: Path) -> Verification:
    """What became of every step of a certificate, its dataset among them, by the root key that lies beside it.

    Raises:
        NotVerified: a step failed.
    """
    parts = read_bundle(certificate)
    root = root_key(str(certificate.parent / "root.pem"))
    with tempfile.TemporaryDirectory(prefix="jiebang-demo-certificate-") as scratch:
        files = [(file.path, file.bytes, file.sha256) for file in open_dataset([dataset], scratch=Path(scratch)).files]
    found = verify_bundle(parts, root=root, now=datetime.now(UTC), files=files)
    if found.failed is not None:
        raise NotVerified(f"{certificate.name}: {found.failed.id}: {found.failed.detail}")
    return found
