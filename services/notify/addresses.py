"""Which network addresses a webhook may be sent to: our own deny list, checked on what a name resolved to.

`ipaddress.is_global` is not enough: it lets NAT64, 6to4, `fec0::` and multicast through, and each of them leads to a
private machine. Sources: the IANA special-purpose registries for IPv4 and IPv6, and the metadata services of clouds.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST_URL = 2048
OPEN_PORTS = frozenset({80, 443})

_REFUSED_V4 = tuple(
    (ipaddress.IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata service"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

# In order: the narrower networks stand before the wider ones that hold them, so that the reason is the precise one.
_REFUSED_V6 = tuple(
    (ipaddress.IPv6Network(network), why)
    for network, why in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::/8", "reserved"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("100::/64", "discard"),
        ("2001::/32", "Teredo"),
        ("2001::/23", "protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")


class AddressRefused(Exception):
    """A webhook may not be sent there; `code` is stable and `sentence` is for the sponsor."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a webhook goes, taken apart once: everything that names a connection."""

    scheme: str
    host: str
    port: int

    @property
    def lane(self) -> str:
        """What deliveries share a queue: one machine and port, whoever subscribed it."""
        return f"{self.host}:{self.port}"


def endpoint_of(url: str) -> Endpoint:
    """Takes a webhook's URL apart, or raises `AddressRefused` with what is wrong with it."""
    if len(url) > LONGEST_URL:
        raise AddressRefused("url_refused", f"The URL is longer than {LONGEST_URL} characters.")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise AddressRefused("url_refused", "The URL holds characters outside printable ASCII; write them encoded.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused("url_refused", f"The URL cannot be read: {error}.") from error
    if parts.scheme not in ("http", "https"):
        raise AddressRefused("url_refused", "The URL must begin with https:// or http://.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("url_refused", "The URL must not carry a user name or password.")
    if parts.fragment:
        raise AddressRefused("url_refused", "The URL must not carry a fragment.")
    if not parts.hostname or port == 0:
        raise AddressRefused("url_refused", "The URL names no host or no possible port.")
    return Endpoint(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))


def check_address(address: str, port: int, *, allow_loopback: bool = False) -> None:
    """Raises `AddressRefused` unless a webhook may connect to this address and port.

    With `allow_loopback` (a platform on one machine) loopback is open on any port; everything else stays as it is.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError as error:
        raise AddressRefused("address_refused", f"{address!r} is not an address.") from error
    if allow_loopback and ip.is_loopback and getattr(ip, "ipv4_mapped", None) is None:
        return
    why = _why_refused(ip)
    if why is not None:
        raise AddressRefused("address_refused", f"The host resolves to {ip}, which is not public ({why}).")
    if port not in OPEN_PORTS:
        raise AddressRefused("port_refused", f"Port {port} is closed to webhooks; use 443 or 80.")


def _why_refused(ip: Address) -> str | None:
    if isinstance(ip, ipaddress.IPv4Address):
        return next((why for network, why in _REFUSED_V4 if ip in network), None)
    if ip.scope_id is not None:
        return "bound to one link"
    named = next((why for network, why in _REFUSED_V6 if ip in network), None)
    if named is not None:
        return named
    return None if ip in _GLOBAL_UNICAST_V6 else "outside global unicast"
