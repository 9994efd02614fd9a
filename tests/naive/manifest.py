"""MET-2 read naively: digests that were declared, against the bytes that are there."""

from __future__ import annotations

import hashlib


def met_2(data: dict[str, bytes], declared: list[tuple[str, str]]) -> tuple[int, int]:
    """Files that are there with every digest declared for them, and files declared or there."""
    right = 0
    for path, content in data.items():
        digests = {digest for name, digest in declared if name == path}
        right += digests == {hashlib.sha256(content).hexdigest()}
    return right, len(set(data) | {name for name, _ in declared})
