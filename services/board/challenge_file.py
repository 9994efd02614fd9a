"""Reading a challenge as a sponsor writes it: every mistake is named with its place and what to do. Pure.

The data demand and the rubric are read by the engine itself, so that what is posted is exactly what will be judged.
Numbers may come as text: that is how a YAML file with comparable scalars arrives.
"""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from jiebang.declaration import Declaration
from jiebang.document import KeyPath, refuse_unknown_keys
from jiebang.errors import DeclarationError
from jiebang.rubric import Rubric, presets
from services.board.challenge import Terms
from services.board.wording import read_mapping, read_text, shown, wrong
from shared.contracts.board import Limits, Phase, Quota, Visibility

SECTORS = (
    "industrial_manufacturing",
    "energy",
    "healthcare",
    "finance",
    "education",
    "science",
    "urban_governance",
    "transportation",
    "low_altitude",
    "industrial_internet",
)
DEFAULT_RUBRIC = "core-0"
FORMATS = ("csv", "jsonl", "parquet")
MOST_BYTES = 20 * 1024**3
DEFAULT_BYTES = 10 * 1024**3
MOST_PHASES = 12
LONGEST_TITLE = 200
LONGEST_SUMMARY = 4000
MOST_ATTEMPTS = 100_000

_KEYS = ("title", "summary", "sector", "sponsor", "demand", "rubric", "phases", "quota", "limits")
_PHASE_KEYS = ("name", "starts_at", "ends_at", "leaderboard")
_PHASE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_OWNER = re.compile(r"[a-z]{2,8}_[0-9a-hjkmnp-tv-z]{26}")
_WHOLE = re.compile(r"[0-9]{1,15}")


def read_terms(data: Any, *, sponsor: str) -> Terms:
    """The terms in a challenge file; `sponsor` is whose challenge it is when the file does not say.

    Raises DeclarationError with a stable `code`, the `path` of keys to the mistake, and what to write instead.
    """
    own = read_mapping(data, ())
    refuse_unknown_keys(own, _KEYS, (), "a challenge")
    for needed in ("title", "sector", "demand", "phases", "quota"):
        if own.get(needed) is None:
            raise wrong((), f"A challenge needs `{needed}`.", f"Add `{needed}:` to it.", missing=needed)
    rubric = _rubric(own.get("rubric"))
    return Terms(
        title=read_text(own["title"], ("title",), longest=LONGEST_TITLE),
        summary=None
        if own.get("summary") is None
        else read_text(own["summary"], ("summary",), longest=LONGEST_SUMMARY),
        sector=_choice(own["sector"], ("sector",), SECTORS),
        sponsor=_owner(own.get("sponsor"), sponsor),
        demand=_demand(own["demand"]),
        rubric=rubric.as_dict(),
        rubric_digest=rubric.digest,
        phases=_phases(own["phases"]),
        quota=_quota(own["quota"]),
        limits=_limits(own.get("limits")),
    )


def _summary(value: Any) -> dict[str, str] | None:
    return None if value is None else read_text(value, ("summary",), longest=LONGEST_SUMMARY)


def _rubric(value: Any) -> Rubric:
    path: KeyPath = ("rubric",)
    if value is None or isinstance(value, str):
        # Only a preset's name: a sponsor's text must never be looked up as a file of ours.
        return Rubric.load(_choice(value or DEFAULT_RUBRIC, path, tuple(presets())))
    try:
        return Rubric.parse(read_mapping(value, path))
    except DeclarationError as error:
        raise _within(error, path) from error


def _demand(value: Any) -> dict[str, Any]:
    try:
        return Declaration.parse(read_mapping(value, ("demand",)), closed=True).as_dict()
    except DeclarationError as error:
        raise _within(error, ("demand",)) from error


def _within(error: DeclarationError, path: KeyPath) -> DeclarationError:
    inner = error.fields.get("path", ())
    fields = {**error.fields, "path": list(inner) if tuple(inner)[: len(path)] == path else [*path, *inner]}
    return DeclarationError(error.code, error.title, error.detail, **fields)


def _owner(value: Any, default: str) -> str:
    if value is None:
        return default
    if not isinstance(value, str) or not _OWNER.fullmatch(value):
        raise wrong(("sponsor",), "`sponsor` must be the id of a sponsor.", "Leave it out to post as yourself.")
    return value


def _phases(value: Any) -> tuple[Phase, ...]:
    path: KeyPath = ("phases",)
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_PHASES:
        raise wrong(path, f"`phases` must be a list of 1 to {MOST_PHASES} phases.", "Write {name, starts_at, ends_at}.")
    phases = [_phase(entry, (*path, index)) for index, entry in enumerate(value)]
    for index, (earlier, later) in enumerate(pairwise(phases), start=1):
        if later.starts_at < earlier.ends_at:
            raise wrong(
                (*path, index, "starts_at"),
                f"The phase {later.name} starts before {earlier.name} has ended.",
                "Order the phases by time; they must not overlap.",
            )
    names = [phase.name for phase in phases]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise wrong((*path, index, "name"), f"Two phases are called {name}.", "Give each its own name.")
    return tuple(phases)


def _phase(value: Any, path: KeyPath) -> Phase:
    own = read_mapping(value, path)
    refuse_unknown_keys(own, _PHASE_KEYS, path, "a phase")
    name = own.get("name")
    if not isinstance(name, str) or not _PHASE_NAME.fullmatch(name):
        raise wrong(
            (*path, "name"), "A phase needs a `name` of small letters.", "Write preliminary, semi-final or final."
        )
    starts_at, ends_at = (_moment(own.get(key), (*path, key)) for key in ("starts_at", "ends_at"))
    if ends_at <= starts_at:
        raise wrong((*path, "ends_at"), f"The phase {name} ends before it starts.", "Give it a later end.")
    leaderboard = own.get("leaderboard")
    return Phase(
        name=name,
        starts_at=starts_at,
        ends_at=ends_at,
        leaderboard=Visibility.PUBLIC
        if leaderboard is None
        else Visibility(_choice(leaderboard, (*path, "leaderboard"), tuple(Visibility))),
    )


def _moment(value: Any, path: KeyPath) -> datetime:
    try:
        if not isinstance(value, str):
            raise ValueError(value)
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        # To the millisecond, which is all the database keeps: an event must not say more than the challenge remembers.
        return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)
    except (ValueError, OverflowError) as error:
        raise wrong(
            path,
            f"`{shown(path)}` must be a moment with its offset.",
            "Write it as 2026-03-01T00:00:00+08:00.",
            received=str(value)[:64],
        ) from error


def _quota(value: Any) -> Quota:
    own = read_mapping(value, ("quota",))
    refuse_unknown_keys(own, ("per_day", "total"), ("quota",), "a quota")
    per_day, total = (_whole(own.get(key), ("quota", key), most=MOST_ATTEMPTS) for key in ("per_day", "total"))
    if per_day > total:
        raise wrong(("quota", "per_day"), "A team has more attempts a day than in all.", "Raise `total`.")
    return Quota(per_day=per_day, total=total)


def _limits(value: Any) -> Limits:
    path: KeyPath = ("limits",)
    own = {} if value is None else read_mapping(value, path)
    refuse_unknown_keys(own, ("bytes", "formats"), path, "limits")
    most = DEFAULT_BYTES if own.get("bytes") is None else _whole(own["bytes"], (*path, "bytes"), most=MOST_BYTES)
    formats = own.get("formats")
    if formats is None:
        return Limits(bytes=most, formats=FORMATS)
    if not isinstance(formats, list) or not formats:
        raise wrong((*path, "formats"), "`formats` must be a list.", f"Choose from {', '.join(FORMATS)}.")
    chosen = {_choice(entry, (*path, "formats", index), FORMATS) for index, entry in enumerate(formats)}
    return Limits(bytes=most, formats=tuple(name for name in FORMATS if name in chosen))


def _whole(value: Any, path: KeyPath, *, most: int) -> int:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _WHOLE.fullmatch(text) or not 1 <= int(text) <= most:
        raise wrong(path, f"`{shown(path)}` must be a whole number from 1 to {most}.", "Write it in digits.")
    return int(text)


def _choice(value: Any, path: KeyPath, known: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise wrong(path, f"`{shown(path)}` must be one word.", f"Choose from {', '.join(known)}.")
    if value not in known:
        nearest = difflib.get_close_matches(value.lower()[:64], known, n=1, cutoff=0.5)
        hint = f"Did you mean `{nearest[0]}`? " if nearest else ""
        raise wrong(
            path,
            f"`{value[:64]}` is not known for `{shown(path)}`.",
            f"{hint}Choose from {', '.join(known)}.",
            nearest=nearest[0] if nearest else None,
        )
    return value
