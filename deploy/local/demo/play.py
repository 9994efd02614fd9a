"""The competition of the demo, played through the public API alone, as sponsors and teams would."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import yaml

from deploy.local.demo.certificates import NotVerified, keep_certificate, keep_root, verified
from deploy.local.demo.entries import ATTACKERS, ENTRIES, TEAMS, Entry, Team
from deploy.local.demo.receiver import Receiver
from jiebang.certificate.verification import Verification
from jiebang.client import Client, Json
from jiebang.packing import Package
from jiebang.receipt import verify_receipt

CHALLENGES = ("penguins", "flights", "trial")
SCORED = "score.completed.v1"
NEW_LEADER = "leaderboard.leader_changed.v1"

_WEBHOOK_SECONDS = 30.0
_BOARD_SECONDS = 30.0


class PlayFailed(Exception):
    """Something did not go as a competition must; the message says what."""


@dataclass
class Attempt:
    """What became of one entry; changed by the thread that plays it, read by the screen."""

    entry: Entry
    state: str = "to come"
    submission: str = ""
    document: Json = field(default_factory=dict)
    receipt: Json = field(default_factory=dict)
    handed_in: Path | None = None

    @property
    def ended(self) -> bool:
        """Whether it was ranked or refused."""
        return self.state in {"ranked", "rejected", "failed", "cancelled"}


@dataclass(frozen=True)
class Posted:
    """A challenge that was posted, and its sponsor."""

    name: str
    id: str
    title: str
    sector: str
    sponsor: Client


class Competition:
    """Three challenges, six teams and three attackers; `play` returns when everything was judged and told."""

    def __init__(self, url: str, organiser_key: str, folder: Path, receiver: Receiver) -> None:
        """Data, reports and receipts are put into `folder`."""
        self.attempts = [Attempt(entry) for entry in ENTRIES]
        self.posted: dict[str, Posted] = {}
        self.boards: dict[str, Json] = {}
        self.reports: dict[str, Json] = {}
        self.certificates: dict[str, Verification] = {}
        self._url = url
        self._organiser = Client(url, organiser_key)
        self._folder = folder
        self._receiver = receiver
        self._teams: dict[Team, Client] = {}
        self._team_ids: dict[str, Team] = {}

    def play(self) -> None:
        """Plays the whole competition.

        Raises:
            PlayFailed: something did not end as it must.
            JiebangError: the platform refused or could not be reached.
        """
        self._post_challenges()
        self._register_teams()
        _together(lambda name=name: self._hand_in(name) for name in CHALLENGES)  # type: ignore[misc]
        for name in CHALLENGES:
            self.boards[name] = self._drained_board(self.posted[name])
        self._await_webhooks()
        self._keep_reports()
        self._keep_certificates()
        self._check()

    def team_of(self, team_id: str) -> Team:
        """The team that a row of a leaderboard names."""
        return self._team_ids[team_id]

    # --- before it begins ----------------------------------------------------------------------------------------

    def _post_challenges(self) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        phase = {"name": "preliminary", "starts_at": _stamp(now), "ends_at": _stamp(now + timedelta(hours=1))}
        for name in CHALLENGES:
            document = yaml.safe_load((Path(__file__).parent / "challenges" / f"{name}.yaml").read_text())
            document["phases"] = [{**phase, "leaderboard": "public"}]
            issued = self._organiser.post("/v1/credentials", {"role": "sponsor"})
            sponsor = Client(self._url, issued["key"])
            challenge = sponsor.post("/v1/challenges", document)
            self.posted[name] = Posted(
                name, challenge["id"], document["title"]["en"], document["sector"].replace("_", " "), sponsor
            )
            filters = {"challenges": [challenge["id"]], "types": [SCORED, NEW_LEADER]}
            subscription = sponsor.post(
                "/v1/subscriptions", {"url": self._receiver.url_for(name), "filters": filters, "description": name}
            )
            self._receiver.trust(name, subscription["secret"])

    def _register_teams(self) -> None:
        for team in (*TEAMS, *ATTACKERS):
            names = {"zh": team.zh, "en": team.en}
            made = self._organiser.post("/v1/teams", {"name": names, "organisation": team.zh})
            self._teams[team] = Client(self._url, made["key"])
            self._team_ids[made["team"]["id"]] = team
            for name in sorted({entry.challenge for entry in ENTRIES if entry.team is team}):
                self._teams[team].post(f"/v1/challenges/{self.posted[name].id}/registrations")

    # --- while it runs -------------------------------------------------------------------------------------------

    def _hand_in(self, challenge: str) -> None:
        """Hands in the first entries of one challenge one after the other, then the second tries."""
        own = [attempt for attempt in self.attempts if attempt.entry.challenge == challenge]
        for again in (False, True):
            attempts = [attempt for attempt in own if attempt.entry.again is again]
            for attempt in attempts:
                self._submit(attempt)
            _together(lambda attempt=attempt: self._follow(attempt) for attempt in attempts)  # type: ignore[misc]

    def _submit(self, attempt: Attempt) -> None:
        entry = attempt.entry
        attempt.state = "preparing"
        folder = self._folder / "data" / slug(entry)
        folder.mkdir(parents=True)
        attempt.handed_in = entry.write(folder)
        package = Package(attempt.handed_in)
        client = self._teams[entry.team]
        attempt.state = "uploading"
        upload = client.upload(package, package.sha256())
        submitted = client.submit(self.posted[entry.challenge].id, upload, entry.what)
        attempt.submission, attempt.receipt = submitted["id"], submitted["receipt"]
        attempt.state = submitted["state"]

    def _follow(self, attempt: Attempt) -> None:
        for document in self._teams[attempt.entry.team].follow(attempt.submission, pause=0.3):
            attempt.document = document
            attempt.state = document["state"]

    # --- when it is over -----------------------------------------------------------------------------------------

    def _drained_board(self, posted: Posted) -> Json:
        """The leaderboard once nothing is on its way to it any more."""
        deadline = time.monotonic() + _BOARD_SECONDS
        while True:
            board: Json = Client(self._url).get(f"/v1/leaderboards/{posted.id}")
            if not board["provisional"]:
                return board
            if time.monotonic() > deadline:
                raise PlayFailed(f"the board of {posted.name} is provisional still: {board.get('pending')} pending")
            time.sleep(0.2)

    def _await_webhooks(self) -> None:
        """Waits until each sponsor has been told of each score on its board and of a leader."""
        deadline = time.monotonic() + _WEBHOOK_SECONDS
        while missing := self._untold():
            if time.monotonic() > deadline:
                raise PlayFailed(f"no webhook told of {', '.join(missing)} within {_WEBHOOK_SECONDS:.0f} s")
            time.sleep(0.1)

    def _untold(self) -> list[str]:
        told = {
            (delivery.sponsor, delivery.event["type"], delivery.event["data"].get("submission"))
            for delivery in self._receiver.deliveries
            if delivery.verified
        }
        scores = [
            f"the score of {attempt.entry.team.en} in {attempt.entry.challenge}"
            for attempt in self.attempts
            if not attempt.entry.refused and (attempt.entry.challenge, SCORED, attempt.submission) not in told
        ]
        led = {sponsor for sponsor, kind, _ in told if kind == NEW_LEADER}
        return scores + [f"a leader of {name}" for name in CHALLENGES if name not in led]

    def _keep_reports(self) -> None:
        for kind in ("reports", "receipts"):
            (self._folder / kind).mkdir()
        keys = Client(self._url).get("/v1/keys")
        for attempt in self.attempts:
            name = slug(attempt.entry)
            facts = verify_receipt(attempt.receipt, keys)
            if facts["submission"] != attempt.submission:
                raise PlayFailed(f"the receipt of {name} is of another submission: {facts['submission']}")
            _write_json(self._folder / "receipts" / f"{name}.json", attempt.receipt)
            if attempt.state == "ranked":
                client, path = self._teams[attempt.entry.team], f"/v1/reports/{attempt.submission}"
                self.reports[attempt.submission] = client.get(path)
                html = client.get_text(path, "text/html")
                (self._folder / "reports" / f"{name}.html").write_text(html, encoding="utf-8")
        _write_json(self._folder / "receipts" / "keys.json", keys)

    def _keep_certificates(self) -> None:
        """Keeps the certificate of every grade that is not provisional, and verifies it without the platform."""
        folder = self._folder / "certificates"
        keep_root(Client(self._url), folder)
        for attempt in self.attempts:
            if attempt.state != "ranked" or self.reports[attempt.submission]["provisional"]:
                continue
            assert attempt.handed_in is not None
            file = folder / f"{slug(attempt.entry)}.zip"
            try:
                keep_certificate(self._teams[attempt.entry.team], attempt.submission, file)
                self.certificates[attempt.submission] = verified(file, attempt.handed_in)
            except NotVerified as failed:
                raise PlayFailed(str(failed)) from None

    def _check(self) -> None:
        """A demo that only looks right is worth nothing: everything that must hold is looked at."""
        for attempt in self.attempts:
            wanted = "rejected" if attempt.entry.refused else "ranked"
            if attempt.state != wanted:
                raise PlayFailed(f"{slug(attempt.entry)} ended {attempt.state}, not {wanted}: {attempt.document}")
            if attempt.entry.refused and not attempt.document.get("reasons"):
                raise PlayFailed(f"{slug(attempt.entry)} was refused without a reason")
        for name, board in self.boards.items():
            wanted_teams = {entry.team for entry in ENTRIES if entry.challenge == name and not entry.refused}
            ranks = [row["rank"] for row in board["entries"]]
            if {self.team_of(row["team"]) for row in board["entries"]} != wanted_teams:
                raise PlayFailed(f"the board of {name} does not hold exactly the teams that were scored: {board}")
            if ranks != list(range(1, len(ranks) + 1)):
                raise PlayFailed(f"the ranks of {name} are {ranks}")
        if not self.certificates:
            raise PlayFailed("no dataset was certified")
        forged = [delivery for delivery in self._receiver.deliveries if not delivery.verified]
        if forged:
            raise PlayFailed(f"{len(forged)} webhooks did not verify, the first: {forged[0]}")


def _together(tasks: Iterable[Callable[[], None]]) -> None:
    """Runs tasks at once, each in a thread that does not keep the process from ending; raises the first failure."""
    failures: list[BaseException] = []

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as failure:  # noqa: BLE001  (raised again below, in the thread that waits)
            failures.append(failure)

    threads = [Thread(target=run, args=(task,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def slug(entry: Entry) -> str:
    """The name that an entry's files have."""
    team = entry.team.en.lower().replace(" ", "-")
    return f"{entry.challenge}-{team}" + ("-again" if entry.again else "")


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _write_json(file: Path, document: Json) -> None:
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
