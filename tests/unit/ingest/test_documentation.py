"""What ingest refuses is written down: every code in its source is in docs/submissions.md, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
SHARED = {
    "idempotency_conflict", "idempotency_key_required", "unauthenticated", "forbidden", "platform_fault",
    "storage_full", "unknown_challenge", "unknown_upload", "unknown_submission", "unknown_preflight",
}  # fmt: skip
"""Codes that the mechanism gives, or that are put together of a word and a name."""
OF_AN_UPLOAD = {"digest_mismatch", "verification_failed", "upload_terminated"}
"""What is wrong with an upload, told inside it and as the `reason` of a refusal."""
SAFE_DEFAULTS = {"unreadable", "gate_failed", "not_scanned", "scan_failed", "deadline_passed"}
"""What stands where the engine gave no code of its own, and what the platform itself failed with."""


def test_every_refusal_is_in_the_table_and_nothing_else_is() -> None:
    source = "\n".join(
        (ROOT / "services" / "ingest" / f"{name}.py").read_text()
        for name in ("refusals", "tus", "uploads_api", "upload", "scanning", "commands", "submission")
    )
    in_problems = set(re.findall(r'Problem\(\s*[\w]+(?: if \w+ else \d+)?,\s*"([a-z_]+)"', source))
    in_problems |= set(re.findall(r'"([a-z_]+)" if [^\n]+ else "(?:[a-z_]+)",', source))
    in_problems |= set(re.findall(r'"[a-z_]+" if [^\n]+ else "([a-z_]+)",', source))
    in_reasons = set(re.findall(r'code="([a-z_]+)"', source))
    codes = (in_problems | in_reasons | SHARED) - OF_AN_UPLOAD - SAFE_DEFAULTS - {"failed"}
    table = (ROOT / "docs" / "submissions.md").read_text().partition("## Refusals")[2]
    written = {
        code
        for row in table.splitlines()
        if row.startswith("| ") and not row.startswith("| ---")
        for code in re.findall(r"`([a-z_]+)`", row.split("|")[2])
    }
    assert len(codes) > 30
    assert codes == written
