"""The page that leads to the demo's reports and receipts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

from deploy.local.demo.play import CHALLENGES, Attempt, Competition, slug

_environment = Environment(
    # The reports' own style, so that the page and what it leads to look alike.
    loader=ChoiceLoader([FileSystemLoader(Path(__file__).parent), PackageLoader("jiebang.report")]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def overview(competition: Competition) -> str:
    """The boards with a link to each report, and the refusals with their reasons, as one page."""
    return _environment.get_template("overview.html").render(
        boards=[_board(competition, name) for name in CHALLENGES],
        refusals=[
            {**_facts(attempt), "reasons": attempt.document["reasons"]}
            for attempt in competition.attempts
            if attempt.state == "rejected"
        ],
    )


def _board(competition: Competition, name: str) -> dict[str, Any]:
    posted = competition.posted[name]
    ranks = {row["submission"]: row["rank"] for row in competition.boards[name]["entries"]}
    ranked = [
        {
            **_facts(attempt),
            "rank": ranks.get(attempt.submission),
            "certified": attempt.submission in competition.certificates,
        }
        for attempt in competition.attempts
        if attempt.entry.challenge == name and attempt.state == "ranked"
    ]
    ranked.sort(key=lambda row: row["rank"] or float("inf"))  # after the board, what it does not show
    return {"title": posted.title, "sector": posted.sector, "rows": ranked, "ranked": len(ranked)}


def _facts(attempt: Attempt) -> dict[str, Any]:
    document = attempt.document
    return {
        "name": slug(attempt.entry),
        "team": attempt.entry.team,
        "what": attempt.entry.what,
        "total": document.get("total"),
        "grade": document.get("grade"),
    }
