"""What scoring does about certificates. Each command is told what it needs, and may be repeated without harm."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from jiebang.certificate.issuer import Issuer
from jiebang.certificate.issuing import Certifiable, NotCertified, bundle, own_parts, pack, unpack
from jiebang.certificate.log import ISSUED, REVOKED, sign_revocations
from jiebang.certificate.signing import KeyList, KeyRefused, SigningKey
from services.scoring.certificate import Certificate, certificate_id
from services.scoring.score import Score, ScoreState
from services.scoring.store import Scores
from services.scoring.store_certificates import CertificateLog, Certificates
from shared.clock import Clock
from shared.contracts.envelope import Event
from shared.contracts.intake import SubmissionRanked
from shared.failures import TransientError
from shared.logs import get_logger
from shared.objects import Objects
from shared.settings import SettingsError

log = get_logger(__name__)

_LIVES = timedelta(days=365)


class NoValidKey(TransientError):
    """The issuer has no signing key that is valid now: an organiser has to make one."""


class Authority:
    """The issuer in a folder; it is read anew each time, so that a new key is used without a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def load(cls, folder: Path | None) -> Authority | None:
        """The issuer in a folder, None without one.

        Raises:
            SettingsError: the folder holds no issuer.
        """
        if folder is None:
            return None
        try:
            Issuer.open(folder)
        except KeyRefused as refused:
            raise SettingsError(f"JIEBANG_SCORING_ISSUER: {refused.title}") from None
        return cls(folder)

    def keys(self) -> KeyList:
        """The list of keys as the root key has signed it.

        Raises:
            NoValidKey: the folder holds it no more.
        """
        with _told():
            return Issuer.open(self._folder).keys

    def key(self, now: datetime) -> SigningKey:
        """The key that signs now.

        Raises:
            NoValidKey: there is none.
        """
        with _told():
            return Issuer.open(self._folder).signing_key(now)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except KeyRefused as refused:
        raise NoValidKey(f"{refused.code}: {refused.title}") from None


@dataclass(frozen=True)
class Registry:
    """What certifying needs; without an `authority` no certificate is issued."""

    certificates: Certificates
    log: CertificateLog
    objects: Objects
    authority: Authority | None
    clock: Clock


async def certify(event: Event[SubmissionRanked], *, scores: Scores, registry: Registry) -> None:
    """Issue the certificate of a ranked submission, once, if its grade is not provisional.

    Raises:
        NoValidKey: the issuer's keys have run out.
        DependencyDown: nothing was recorded.
    """
    authority, score = registry.authority, await scores.latest(event.data.submission)
    if authority is None or score is None or score.state is not ScoreState.COMPLETED:
        return
    found = await registry.certificates.find(certificate_id(score.assignment.id))
    if found is None and score.verdict is not None and not score.verdict.provisional:
        found = await _issue(score, event, authority, registry)
    if found is not None and found.unlogged:
        await write_log(found, registry=registry)


async def _issue(
    score: Score, event: Event[SubmissionRanked], authority: Authority, registry: Registry
) -> Certificate | None:
    assignment, now = score.assignment, registry.clock.now()
    report = await registry.objects.get(assignment.report_key("report.json"))
    try:
        judged = await asyncio.to_thread(Certifiable.of, report)
    except NotCertified as refused:
        log.warning("not_certified", submission=assignment.submission, code=refused.code)
        return None
    key = authority.key(now)
    about = {name: getattr(assignment, name) for name in ("submission", "challenge", "phase", "team")}
    signed = judged.issue(certificate_id(assignment.id), key, now=now, lives=_LIVES, about=about)
    made, facts = Certificate.issue(score, envelope_sha256=signed.digest, at=now, expires_at=signed.expires_at)
    packed = await asyncio.to_thread(pack, own_parts(signed, judged))
    await registry.objects.put(made.bundle_key, packed)
    new = await registry.certificates.add(made, facts, cause=event)
    log.info("certificate_issued", submission=assignment.submission, certificate=made.id, new=new)
    return await registry.certificates.find(made.id)


async def revoke(id: str, reason: str, *, registry: Registry) -> Certificate | None:
    """Revoke a certificate for good; None if there is none of this id or submission.

    Raises:
        AlreadyRevoked: it is, for another reason.
    """
    found = await registry.certificates.named(id)
    if found is None:
        return None
    revoked = await registry.certificates.revoke(found.id, reason, at=registry.clock.now())
    if revoked.unlogged:
        await write_log(revoked, registry=registry)
    log.warning("certificate_revoked", certificate=revoked.id, submission=revoked.submission)
    return revoked


async def write_log(certificate: Certificate, *, registry: Registry) -> None:
    """Append to the log what has happened to a certificate and is not in it."""
    about = (certificate.id, certificate.envelope_sha256)
    await registry.log.append(ISSUED, *about, at=certificate.issued_at)
    if certificate.revoked_at is not None:
        await registry.log.append(REVOKED, *about, at=certificate.revoked_at, reason=certificate.reason)
    await registry.certificates.mark_logged(certificate)


async def write_unlogged(registry: Registry) -> int:
    """Append what a process that died has left out of the log; how many certificates that were."""
    found = await registry.certificates.unlogged()
    for certificate in found:
        await write_log(certificate, registry=registry)
    return len(found)


async def revocations(*, registry: Registry, authority: Authority) -> bytes:
    """The list of what is revoked, signed now.

    Raises:
        NoValidKey: the issuer's keys have run out.
    """
    now = registry.clock.now()
    head = await registry.log.head()
    return sign_revocations(await registry.log.revoked(head), head, authority.key(now), now=now)


async def handed_over(certificate: Certificate, *, registry: Registry, authority: Authority) -> bytes:
    """The file of a certificate, with the keys and the revocations of this moment."""
    newest = await revocations(registry=registry, authority=authority)
    stored = await registry.objects.get(certificate.bundle_key)

    def packed() -> bytes:
        return bundle(unpack(stored), keys=authority.keys(), revocations=newest)

    return await asyncio.to_thread(packed)
