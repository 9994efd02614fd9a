"""What the demo shows: a live table while it plays, and boards, refusals and webhooks when it is over."""

from __future__ import annotations

from collections import Counter

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.local.demo.play import CHALLENGES, NEW_LEADER, SCORED, Attempt, Competition, slug
from deploy.local.demo.receiver import Delivery, Receiver
from jiebang.certificate.verification import STEPS

_COLOURS = {"ranked": "green", "scored": "cyan", "accepted": "cyan", "scanning": "yellow", "received": "yellow"}
_COLOURS |= {"uploading": "yellow", "rejected": "magenta", "failed": "bold red", "cancelled": "red"}


class Screen:
    """A table that follows the competition: drawn anew where there is a terminal, lines of what changed where not."""

    def __init__(self, console: Console, competition: Competition, receiver: Receiver) -> None:
        self._console = console
        self._competition = competition
        self._receiver = receiver
        self._said: dict[int, str] = {}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=6, transient=True)

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def update(self) -> None:
        """Says what changed, where nothing is drawn."""
        if self._console.is_terminal:
            return
        for number, attempt in enumerate(self._competition.attempts):
            if attempt.state != self._said.get(number, "to come"):
                self._said[number] = attempt.state
                team = f"{attempt.entry.team.en}, {attempt.entry.challenge} ({attempt.entry.what})"
                self._console.print(f"{attempt.state:>10}  {team} {_outcome(attempt)}", highlight=False)

    def _table(self) -> Group:
        table = Table(
            "team", "challenge", "handed in", "state", "total", "grade", "rank then", title="揭榜 · the competition"
        )
        for attempt in self._competition.attempts:
            state = Text(attempt.state, _COLOURS.get(attempt.state, "dim"))
            if attempt.document.get("position"):
                state.append(f" ({attempt.document['position']} before it)", "dim")
            document = attempt.document
            cells = [str(document.get(name) or "") for name in ("total", "grade", "rank")]
            table.add_row(
                f"{attempt.entry.team.zh} {attempt.entry.team.en}",
                attempt.entry.challenge,
                attempt.entry.what,
                state,
                *cells,
            )
        counts = _counts(self._receiver.deliveries)
        told = f"webhooks verified: {counts[SCORED]} scores, {counts[NEW_LEADER]} new leaders"
        return Group(table, Text(told, "dim"))


def show_end(console: Console, competition: Competition, receiver: Receiver) -> None:
    """Prints the leaderboards with grades, the refusals with reasons, and what the sponsors were told."""
    for name in CHALLENGES:
        posted = competition.posted[name]
        table = Table("rank", "team", "total", "grade", "coverage", "tries", title=f"{posted.title} ({posted.sector})")
        for row in competition.boards[name]["entries"]:
            team = competition.team_of(row["team"])
            cells = (row["rank"], f"{team.zh} {team.en}", row["total"], row["grade"], row["coverage"])
            table.add_row(*(str(cell) for cell in cells), str(row["submissions"]))
        console.print(table)
    refusals = Table("team", "handed in", "why it was refused", title="Refused before any score")
    for attempt in competition.attempts:
        if attempt.state == "rejected":
            reasons = "\n".join(f"{reason['code']}: {reason['sentence']}" for reason in attempt.document["reasons"])
            refusals.add_row(f"{attempt.entry.team.zh} {attempt.entry.team.en}", attempt.entry.what, reasons)
    console.print(refusals)
    for attempt in competition.attempts:
        if attempt.entry.again:
            console.print(_improvement(competition, attempt), highlight=False)
    counts = _counts(receiver.deliveries)
    console.print(
        f"Sponsors were told of {counts[SCORED]} scores and {counts[NEW_LEADER]} new leaders; "
        "every signature verified with the standardwebhooks library."
    )
    show_certificates(console, competition)


def show_certificates(console: Console, competition: Competition) -> None:
    """Prints which datasets were certified, and how one certificate was verified, step by step."""
    certified = [attempt for attempt in competition.attempts if attempt.submission in competition.certificates]
    table = Table("team", "challenge", "certified", "total", "grade", title="Certificates, each verified offline")
    for attempt in certified:
        statement = competition.certificates[attempt.submission].statement
        assert statement is not None
        result = statement["predicate"]["result"]
        team = f"{attempt.entry.team.zh} {attempt.entry.team.en}"
        table.add_row(team, attempt.entry.challenge, attempt.entry.what, result["total"], result["grade"])
    console.print(table)
    last = certified[-1]
    for step in competition.certificates[last.submission].steps:
        console.print(f"[green]✓[/green] {STEPS[step.id]}", highlight=False)
    names = f"{slug(last.entry)}.zip --root certificates/root.pem --dataset data/{slug(last.entry)}"
    again = f"jiebang verify certificates/{names}"
    console.print(f"The same again, in the demo's folder: {again}", highlight=False, soft_wrap=True)


def _improvement(competition: Competition, attempt: Attempt) -> str:
    before = next(
        earlier
        for earlier in competition.attempts
        if (earlier.entry.team, earlier.entry.challenge) == (attempt.entry.team, attempt.entry.challenge)
    )
    fixes = competition.reports[before.submission].get("fixes") or []
    advice = f"was told “{fixes[0]['what']}” (worth {fixes[0]['gain']} points) and " if fixes else ""
    rose = f"rose from {before.document.get('total')} to {attempt.document.get('total')}"
    return f"{attempt.entry.team.zh} {attempt.entry.team.en} {advice}{rose}."


def _outcome(attempt: Attempt) -> str:
    document = attempt.document
    if attempt.state == "ranked":
        return f"→ {document.get('total')}, grade {document.get('grade')}, rank {document.get('rank')} so far"
    if attempt.state == "rejected":
        return "→ " + "; ".join(reason["sentence"] for reason in document.get("reasons", []))
    return ""


def _counts(deliveries: list[Delivery]) -> Counter[str]:
    """How many different webhooks of each type came and verified."""
    return Counter(kind for _, kind in {(got.id, got.event["type"]) for got in deliveries if got.verified})
