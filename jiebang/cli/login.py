"""Where the server is and who I am: `jiebang login`, and what it leaves in the user's configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from jiebang.cli.terminal import AsJson, WrongUse, counted, print_json, say
from jiebang.client import Client, Problem

ISSUER = "issuer.json"
"""What is kept of the platform's issuer: its root key's fingerprint, and the list of keys that it has signed."""

_URL_VARIABLE = "JIEBANG_URL"
_KEY_VARIABLE = "JIEBANG_KEY"
_COMMANDS = {
    "not_registered": "Take the challenge up first: `jiebang challenge join CHALLENGE`.",
    "too_late_to_cancel": "See what became of it: `jiebang status SUBMISSION`.",
}


@dataclass(frozen=True, slots=True)
class Login:
    """A server and a key for it; the key is None for what is public."""

    url: str
    key: str | None


def configuration_folder() -> Path:
    """Where this user's configuration of the command lies."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "jiebang"


def current_login() -> Login:
    """The login of this process: the environment first, then what `jiebang login` left."""
    stored = read_state("login.json")
    url = os.environ.get(_URL_VARIABLE) or stored.get("url")
    key = os.environ.get(_KEY_VARIABLE) or stored.get("key")
    if not url:
        raise WrongUse(
            "not_logged_in", "No server is known.", f"Run `jiebang login URL` first, or set {_URL_VARIABLE}."
        )
    return Login(url, key)


@contextmanager
def client() -> Iterator[Client]:
    """A client of the server one is logged in to."""
    found = current_login()
    with Client(found.url, found.key) as result:
        try:
            yield result
        except Problem as problem:
            if problem.status == httpx.codes.UNAUTHORIZED:
                raise _no_entry(found) from None
            # The server speaks of its routes; whoever sits here has commands.
            problem.detail = _COMMANDS.get(problem.code, problem.detail)
            raise


def _no_entry(found: Login) -> WrongUse:
    how = f"Run `jiebang login {found.url}` with your key, or set {_KEY_VARIABLE}."
    if not found.key:
        return WrongUse("unauthenticated", "This needs a key, and none is known here.", how)
    source = _KEY_VARIABLE if os.environ.get(_KEY_VARIABLE) else "the key kept by `jiebang login`"
    title = f"The server does not accept the key (from {source})."
    return WrongUse("unauthenticated", title, f"It is wrong, expired or revoked. {how}")


def read_state(name: str) -> dict[str, Any]:
    """A small JSON file of this command's own; empty when there is none."""
    path = configuration_folder() / name
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WrongUse("broken_state", f"{path} cannot be read: {error}.", "Remove it and log in again.") from None
    return value if isinstance(value, dict) else {}


def write_state(name: str, value: dict[str, Any]) -> None:
    """Replace one of these files, readable by its owner alone."""
    folder = configuration_folder()
    new = folder / f".{name}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False, indent=1)
        new.replace(folder / name)
    except OSError as error:
        raise WrongUse(
            "cannot_write",
            f"{folder / name} could not be written: {error.strerror}.",
            "Let XDG_CONFIG_HOME name a folder that you may write to.",
        ) from None


def role_of(key: str) -> str:
    """The role a key was issued for, as it says itself."""
    parts = key.split("_")
    if len(parts) != 4 or parts[0] != "jb" or not key.isascii():
        raise WrongUse(
            "malformed_key", "That is not a key of this platform.", "A key looks like jb_team_…; copy it whole."
        )
    return parts[1]


def login(
    url: Annotated[str, typer.Argument(help="Address of the platform, such as https://jiebang.example.")],
    key: Annotated[
        str | None,
        typer.Option(help="The key you were given; asked for when left out. Empty: public things only."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remember a server and a key for the other commands.

    The key is kept in a file only you can read. The server's public keys are kept too, so that receipts and
    certificates can be verified offline later. JIEBANG_URL and JIEBANG_KEY in the environment win over what is kept.
    """
    if not url.startswith(("http://", "https://")):
        raise WrongUse("wrong_url", f"{url!r} is not an address.", "Begin it with https:// or http://.")
    if key is None:
        key = typer.prompt("Key", hide_input=True, default="", show_default=False)
    role = role_of(key) if key else "public"
    with Client(url, key or None, patience=2) as server:
        challenges = len(list(server.each("/v1/challenges")))
        keys = server.get("/v1/keys")
        issuer = _issuer(server)
    write_state("login.json", {"url": url, "key": key or None})
    write_state("keys.json", keys)
    write_state(ISSUER, issuer)
    if as_json:
        print_json({"url": url, "role": role, "challenges": challenges})
    else:
        say(f"[green]✓[/] {url} as [bold]{role}[/]; {counted(challenges, 'challenge')} posted.")


def _issuer(server: Client) -> dict[str, Any]:
    """Whose certificates the server issues: the root key's fingerprint and the list of keys; empty without any."""
    try:
        facts: dict[str, Any] = server.get("/v1/certificates/keys")
    except Problem as problem:
        if problem.status != httpx.codes.NOT_FOUND:
            raise
        return {}
    return {"root": facts["root"], "keys": facts["keys"]}


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command()(login)
