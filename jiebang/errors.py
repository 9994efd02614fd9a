"""Errors that say what is wrong and what to do: the same facts as a problem document of the API."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """Whose fault an error is: it decides who is told, and whether a quota is refunded."""

    PARTICIPANT = "participant"
    SPONSOR = "sponsor"
    PLATFORM = "platform"


class JiebangError(Exception):
    """A refusal with a stable code, a sentence, and what to do about it.

    `code` is snake_case and never changes its meaning; `title` is a sentence; `detail` says what to do;
    `fields` are facts of the case (limit, expected, received, path, row …), JSON values only.
    """

    fault: Fault = Fault.PARTICIPANT

    def __init__(self, code: str, title: str, detail: str, **fields: Any) -> None:
        super().__init__(f"{title} {detail}")
        self.code = code
        self.title = title
        self.detail = detail
        self.fields = fields

    def as_dict(self) -> dict[str, Any]:
        """The error as the body of a problem document, without `type` and `status`."""
        return {"code": self.code, "title": self.title, "detail": self.detail, "fault": str(self.fault), **self.fields}


class DatasetRefused(JiebangError):
    """What was handed in cannot be judged at all; nothing of it is kept."""


class DeclarationError(JiebangError):
    """A declaration, a rubric or a challenge file is wrong; the text names the key and, where known, the line."""

    fault = Fault.SPONSOR
