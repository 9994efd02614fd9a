"""Hands in a tiny dataset, as a team would, and waits until it is ranked: what `helm test` runs in the cluster.

    python rank.py --board=http://jiebang-board --ingest=http://jiebang-ingest --ranking=http://jiebang-ranking

It issues itself an organiser's key, for which it needs the settings of the board, and revokes what keys it made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from jiebang.client import Client
from jiebang.packing import Package

ROWS = [("id", "species", "mass_g"), *((str(n), ("adelie", "gentoo")[n % 2], str(3000 + 7 * n)) for n in range(1, 41))]
CHALLENGE = {
    "title": {"zh": "安装测试", "en": "Installation test"},
    "summary": {"zh": "检验安装是否可用。", "en": "Shows that an installation works."},
    "sector": "science",
    "demand": {
        "types": {"id": "integer", "species": "text", "mass_g": "integer"},
        "key": ["id"],
        "required": ["id", "species", "mass_g"],
        "label": "species",
        "records": 40,
    },
    "rubric": "core-0",
    "quota": {"per_day": 1, "total": 1},
    "limits": {"bytes": 1048576, "formats": ["csv"]},
}


def main() -> int:
    """0 when the dataset was ranked first on its board, else 1 with what happened instead."""
    parser = argparse.ArgumentParser(description="Hand in a tiny dataset and wait until it is ranked.")
    for service in ("board", "ingest", "ranking"):
        parser.add_argument(f"--{service}", required=True, help=f"base URL of {service}")
    parser.add_argument("--seconds", type=float, default=180.0)
    given = parser.parse_args()
    command = [sys.executable, "-m", "services.board.issue", "--role", "organiser"]
    issued = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    keys = [json.loads(issued)["key"]]
    try:
        return hand_in(given, keys)
    finally:
        for key in reversed(keys):
            credential = f"key_{key.split('_')[2]}"
            authorised = {"Authorization": f"Bearer {keys[0]}"}
            httpx.delete(f"{given.board}/v1/credentials/{credential}", headers=authorised).raise_for_status()


def hand_in(given: argparse.Namespace, keys: list[str]) -> int:
    """The whole way from a challenge to a rank; every key that is made on it is added to `keys`."""
    deadline = time.monotonic() + given.seconds
    organiser = Client(given.board, keys[0], patience=given.seconds)
    keys.append(organiser.post("/v1/credentials", {"role": "sponsor"})["key"])
    sponsor = Client(given.board, keys[-1])
    now = datetime.now(UTC).replace(microsecond=0)
    phase = {
        "name": "test",
        "starts_at": stamp(now),
        "ends_at": stamp(now + timedelta(hours=1)),
        "leaderboard": "public",
    }
    challenge = sponsor.post("/v1/challenges", {**CHALLENGE, "phases": [{**phase, "leaderboard": "public"}]})["id"]
    made = organiser.post("/v1/teams", {"name": {"zh": "安装测试", "en": "Installation test"}, "organisation": "test"})
    keys.append(made["key"])
    Client(given.board, made["key"]).post(f"/v1/challenges/{challenge}/registrations")
    print(f"posted challenge {challenge}, registered team {made['team']['id']}", flush=True)

    intake = Client(given.ingest, made["key"], patience=given.seconds)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "penguins.csv")
        file.write_text("".join(",".join(row) + "\n" for row in ROWS))
        package = Package(file)
        submission = intake.submit(challenge, intake.upload(package, package.sha256()))["id"]
    for document in intake.follow(submission):
        print(f"submission {submission}: {document['state']}", flush=True)
    if document["state"] != "ranked":
        print(json.dumps(document, indent=2, ensure_ascii=False), flush=True)
        return 1
    ranking = Client(given.ranking)
    while not (entries := ranking.get(f"/v1/leaderboards/{challenge}")["entries"]):
        if time.monotonic() > deadline:
            print("ranked, but its board stays empty", flush=True)
            return 1
        time.sleep(0.2)
    print(f"rank {entries[0]['rank']} with {entries[0]['total']} points", flush=True)
    return 0 if entries[0]["submission"] == submission else 1


def stamp(moment: datetime) -> str:
    """RFC 3339, in UTC."""
    return moment.isoformat().replace("+00:00", "Z")


if __name__ == "__main__":
    sys.exit(main())
