"""The receipt of a submission: what was received and when, signed, so that anyone can check it without us."""

from __future__ import annotations

from typing import Any

from services.ingest.submission import Submission
from shared.signing import RECEIPT_TYPE, Signer


def receipt_of(submission: Submission, signer: Signer) -> dict[str, Any]:
    """The receipt, a DSSE envelope; the same submission and key always make the same bytes."""
    return signer.sign(submission.received_fact().model_dump(mode="json"), RECEIPT_TYPE)
