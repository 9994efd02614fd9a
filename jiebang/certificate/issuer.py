"""An issuer on this machine: a folder with its keys, what the root key has signed, and the log of certificates.

    root.pem            the root key, public: what others have to know
    root-key.pem        the root key itself, until it is taken to where no network is
    keys.json           the signing keys, signed by the root key
    key-<id>.pem        the signing keys themselves
    log/00000001.json   an entry of the log each, chained
    revocations.json    the newest signed list of revocations, with the head of the log

An entry is a new file that appears whole or not at all, so of two that issue at once one is told to do it again.
"""

from __future__ import annotations

import os
import secrets
from datetime import datetime, timedelta
from pathlib import Path

import rfc8785

from jiebang.certificate import verification
from jiebang.certificate.issuing import CERTIFICATE_LIVES, Certifiable, bundle, own_parts
from jiebang.certificate.log import ISSUED, REVOKED, Entry, Head, LogBroken, check_chain, head_of, read_log
from jiebang.certificate.log import revocation_list as signed_list
from jiebang.certificate.signing import KEY_LIVES, KeyList, KeyRefused, ListedKey, SigningKey
from jiebang.errors import JiebangError

ROOT, ROOT_KEY, KEYS, REVOCATIONS = "root.pem", "root-key.pem", "keys.json", "revocations.json"

_CLOCKS_DIFFER = timedelta(days=1)


class Issuer:
    """Issues and revokes certificates, with the keys of a folder."""

    def __init__(self, folder: Path, keys: KeyList) -> None:
        self.folder = folder
        self.keys = keys

    @classmethod
    def create(cls, folder: Path, *, now: datetime, lives: timedelta = KEY_LIVES) -> Issuer:
        """Make a root key and a first signing key in a new folder; raises `KeyRefused` where an issuer is already."""
        if (folder / ROOT).exists():
            title = f"{folder} is an issuer already."
            raise KeyRefused("issuer_exists", title, "Add a signing key to it, or name another folder.")
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / ROOT_KEY).exists():  # an earlier making may have been broken off after it
            SigningKey.new().save(folder / ROOT_KEY)
        root = SigningKey.load(folder / ROOT_KEY)
        issuer = cls(folder, KeyList.sign(root, (), version=0, now=now))
        issuer.add_key(root, now=now, lives=lives)
        _replace(folder / REVOCATIONS, signed_list((), issuer.signing_key(now), now=now))
        _replace(folder / ROOT, verification.pem_of(root.public))
        return issuer

    @classmethod
    def open(cls, folder: Path) -> Issuer:
        """The issuer in a folder; raises `KeyRefused` if there is none, or its list of keys is not its root key's."""
        try:
            root = verification.key_of_pem((folder / ROOT).read_bytes())
            signed = (folder / KEYS).read_bytes()
        except (OSError, verification.Wrong) as error:
            detail = "Make one with `jiebang certificate issuer`."
            raise KeyRefused("no_issuer", f"{folder} is no issuer: {error}.", detail) from None
        return cls(folder, KeyList.read(signed, root))

    def add_key(self, root: SigningKey, *, now: datetime, lives: timedelta = KEY_LIVES) -> SigningKey:
        """Make a signing key that signs from now on; older ones stay good for what they have signed.

        It is listed as valid since the day before, for the clocks of those who sign with it may go behind.
        """
        if root.public != self.keys.root:
            title = f"Key {root.id} is not the root key of this issuer."
            raise KeyRefused("wrong_root", title, f"Its fingerprint is {verification.fingerprint(self.keys.root)}.")
        key = SigningKey.new()
        key.save(self._file_of(key.id))
        self.keys = self.keys.with_key(root, ListedKey(key.public, now - _CLOCKS_DIFFER, now + lives), now=now)
        _replace(self.folder / KEYS, self.keys.signed)
        return key

    def signing_key(self, now: datetime) -> SigningKey:
        """The last listed key that is here and valid; raises `KeyRefused` if there is none."""
        for listed in reversed(self.keys.keys):
            if (file := self._file_of(listed.id)).exists() and listed.not_before <= now < listed.not_after:
                return SigningKey.load(file)
        raise KeyRefused("no_valid_key", "No signing key here is valid now.", "Add one: `jiebang certificate issuer`.")

    def issue(
        self, judged: Certifiable, *, now: datetime, lives: timedelta = CERTIFICATE_LIVES, id: str | None = None
    ) -> tuple[str, bytes]:
        """Issue a certificate, write it into the log, and return its id and the file to hand over."""
        key = self.signing_key(now)
        certificate = judged.issue(id or f"crt_{secrets.token_hex(13)}", key, now=now, lives=lives)
        entries = self.log()
        entries.append(Head.of(entries).next(now, ISSUED, certificate.id, certificate.digest))
        self._append(entries, key, now)
        revocations = (self.folder / REVOCATIONS).read_bytes()
        handed_over = bundle(own_parts(certificate, judged), keys=self.keys, revocations=revocations)
        return certificate.id, handed_over

    def revoke(self, id: str, reason: str, *, now: datetime) -> None:
        """Revoke a certificate for good; raises `JiebangError` for one that was not issued here, or is revoked."""
        entries = self.log()
        own = [entry for entry in entries if entry.certificate == id]
        if not own:
            raise JiebangError("unknown_certificate", f"{id} was not issued here.", "The log lists all that were.")
        if own[-1].event == REVOKED:
            title = f"{id} was revoked at {own[-1].at}."
            raise JiebangError("already_revoked", title, "A certificate is revoked once, for good.")
        entries.append(Head.of(entries).next(now, REVOKED, id, own[0].envelope, reason))
        self._append(entries, self.signing_key(now), now)

    def log(self) -> list[Entry]:
        """The whole log; raises `LogBroken` if it has a gap, was changed, or lost what was signed for."""
        files = sorted((self.folder / "log").glob("*.json"))
        entries = read_log("\n".join(file.read_text("utf-8") for file in files))
        try:
            signed = (self.folder / REVOCATIONS).read_bytes()
        except OSError as error:
            title = f"The signed list of revocations cannot be read: {error}."
            raise LogBroken("log_unsigned", title, "Without it nobody can say that the log is whole.") from None
        check_chain(entries, head=head_of(signed, self.keys))
        return entries

    def revocations(self, *, now: datetime) -> bytes:
        """The list of revocations, signed and dated anew."""
        signed = signed_list(self.log(), self.signing_key(now), now=now)
        _replace(self.folder / REVOCATIONS, signed)
        return signed

    def _append(self, entries: list[Entry], key: SigningKey, now: datetime) -> None:
        entry = entries[-1]
        folder = self.folder / "log"
        folder.mkdir(exist_ok=True)
        draft = folder / f".{secrets.token_hex(8)}"
        draft.write_bytes(rfc8785.dumps(entry.as_dict()))
        try:
            os.link(draft, folder / f"{entry.seq:08}.json")
        except FileExistsError:
            title = "Somebody else has written into the log at the same moment."
            raise LogBroken("log_moved_on", title, "Do it again.") from None
        finally:
            draft.unlink()
        _replace(self.folder / REVOCATIONS, signed_list(entries, key, now=now))

    def _file_of(self, keyid: str) -> Path:
        return self.folder / f"key-{keyid}.pem"


def _replace(file: Path, content: bytes) -> None:
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    draft.write_bytes(content)
    draft.replace(file)
