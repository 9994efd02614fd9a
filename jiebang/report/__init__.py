"""A report as something a person enjoys reading: one HTML page without network, and a card for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jiebang.report.words import Language


def render_html(
    facts: Mapping[str, Any],
    *,
    earlier: Mapping[str, Any] | None = None,
    distributions: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    language: Language = "en",
) -> str:
    """The whole report as one HTML page in English and Chinese; `facts` is `Report.as_dict()` or read back from JSON.

    `earlier` is the report of an earlier version to compare with, `distributions` those of `Report.distributions`.
    `language` is the one that the page opens in.
    """
    from jiebang.report.page import page

    return page(facts, earlier=earlier, drawings=distributions or {}, language=language)


def render_card(facts: Mapping[str, Any]) -> str:
    """The report's essence as a fragment of HTML, for a notebook's cell."""
    from jiebang.report.page import card

    return card(facts)


__all__ = ["render_card", "render_html"]
