"""The HTTP API of certificates: the file to hand over, the keys, the revocations, the log; and revoking."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from jiebang.certificate.log import Entry
from jiebang.certificate.verification import fingerprint, pem_of
from services.scoring import certifying
from services.scoring.certificate import AlreadyRevoked, Certificate
from services.scoring.certifying import Authority, NoValidKey, Registry
from shared.auth import Principal, require
from shared.contracts.board import Role
from shared.contracts.envelope import rfc3339
from shared.http import After, Limit, conditional, cursor_of, invalid_cursor, json_bytes, place_of
from shared.problems import Fault, Problem, platform_fault

Reader = Annotated[Principal, Depends(require(Role.TEAM, Role.SPONSOR, Role.ORGANISER, Role.OPERATOR))]
Organiser = Annotated[Principal, Depends(require(Role.ORGANISER))]


class Revocation(BaseModel):
    """The body of `POST /v1/certificates/{id}/revoke`."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=1, max_length=500)]


def create_certificates_router(registry: Registry) -> APIRouter:
    """The routes of certificates; without an issuer there are none to be had."""
    router = APIRouter(prefix="/v1/certificates", tags=["certificates"])

    def issuer() -> Authority:
        if registry.authority is None:
            raise Problem(
                404, "no_issuer", "This platform issues no certificates.", "Its organisers have given it no issuer."
            )
        return registry.authority

    @router.get("/keys")
    async def show_keys(request: Request) -> Response:
        """The root key that certificates are known by, and the list of signing keys that it has signed."""
        try:
            keys = issuer().keys()
        except NoValidKey:
            raise platform_fault() from None
        body = {
            "root": fingerprint(keys.root),
            "pem": pem_of(keys.root).decode(),
            "keys": json.loads(keys.signed),
        }
        return conditional(request, json_bytes(body))

    @router.get("/revocations")
    async def show_revocations() -> Response:
        """The list of what is revoked, signed and dated now; `jiebang verify --revocations` takes it as it is."""
        try:
            signed = await certifying.revocations(registry=registry, authority=issuer())
        except NoValidKey:
            raise platform_fault() from None
        return Response(signed, media_type="application/json", headers={"Cache-Control": "no-cache"})

    @router.get("/log")
    async def show_log(limit: Limit = 50, after: After = None) -> dict[str, Any]:
        """The log of all certificates issued and revoked, each entry chained to the one before."""
        listed = await registry.log.entries(after=_place(after), limit=limit + 1)
        page = listed[:limit]
        return {
            "entries": [_shown(entry) for entry in page],
            "next": cursor_of(page[-1].seq) if len(listed) > limit else None,
        }

    @router.get("/{certificate}", responses={200: {"content": {"application/zip": {}}}, 404: {}})
    async def read_certificate(certificate: str, reader: Reader) -> Response:
        """The certificate of a submission (or of this id) as the file to hand over, with the lists of this moment.

        For the team that handed it in, the sponsor of the challenge, and organisers; for all others it is not there.
        """
        found = await registry.certificates.readable(certificate, reader)
        if found is None:
            raise _not_there()
        try:
            packed = await certifying.handed_over(found, registry=registry, authority=issuer())
        except NoValidKey:
            raise platform_fault() from None
        named = {"Content-Disposition": f'attachment; filename="{found.id}.zip"', "X-Content-Type-Options": "nosniff"}
        return Response(packed, media_type="application/zip", headers=named)

    @router.post("/{certificate}/revoke")
    async def revoke(certificate: str, body: Revocation, organiser: Organiser) -> dict[str, Any]:
        """Revoke a certificate for good, with a reason that everybody will read; it stays in the log."""
        try:
            found = await certifying.revoke(certificate, body.reason, registry=registry)
        except AlreadyRevoked:
            raise Problem(
                409,
                "already_revoked",
                "This certificate was revoked before, for another reason.",
                "A certificate is revoked once, for good; the log says why.",
                fault=Fault.PARTICIPANT,
            ) from None
        if found is None:
            raise _not_there()
        return _facts(found)

    return router


def _place(after: str | None) -> int:
    if after is None:
        return 0
    match place_of(after):
        case (int(seq),):
            return seq
    raise invalid_cursor()


def _shown(entry: Entry) -> dict[str, Any]:
    return {**entry.as_dict(), "digest": entry.digest}


def _facts(certificate: Certificate) -> dict[str, Any]:
    revoked = certificate.revoked_at
    return {
        "id": certificate.id,
        "submission": certificate.submission,
        "challenge": certificate.challenge,
        "team": certificate.team,
        "total": certificate.total,
        "grade": certificate.grade,
        "issued_at": rfc3339(certificate.issued_at),
        "expires_at": rfc3339(certificate.expires_at),
        "revoked_at": None if revoked is None else rfc3339(revoked),
        "reason": certificate.reason,
    }


def _not_there() -> Problem:
    return Problem(
        404,
        "unknown_certificate",
        "There is no such certificate.",
        "A ranked submission has one unless its grade is provisional, a moment after it was ranked. Else check the id, "
        "and whose key you use.",
    )
