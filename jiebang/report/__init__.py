"""A report as something a person enjoys reading: one HTML page without network, and a card for notebooks."""

from collections.abc import Mapping
from typing import Any


def render_html(facts: Mapping[str, Any]) -> str:
    """The whole report as one HTML page; `facts` is `Report.as_dict()` or the same read back from JSON."""
    from jiebang.report.page import page

    return page(facts)


def render_card(facts: Mapping[str, Any]) -> str:
    """The report's essence as a fragment of HTML, for a notebook's cell."""
    from jiebang.report.page import card

    return card(facts)


__all__ = ["render_card", "render_html"]
