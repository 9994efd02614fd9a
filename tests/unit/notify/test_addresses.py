"""Which addresses a webhook may be sent to."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.addresses import AddressRefused, check_address, endpoint_of

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%eth0",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ff0e::1",
]
OPEN = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.15.0.1", "172.32.0.1", "198.20.0.1", "223.255.255.255"]
OPEN_V6 = ["2606:4700:4700::1111", "2400:3200::1", "2a00:1450:4001::1", "2001:200::1"]


@pytest.mark.parametrize("address", REFUSED)
@pytest.mark.parametrize("port", [80, 443])
def test_what_is_not_public_is_refused(address: str, port: int) -> None:
    with pytest.raises(AddressRefused) as refusal:
        check_address(address, port)
    assert refusal.value.code == "address_refused"


@pytest.mark.parametrize("address", OPEN + OPEN_V6)
def test_what_is_public_is_open_on_443_and_80_alone(address: str) -> None:
    check_address(address, 443)
    check_address(address, 80)
    for port in (22, 6379, 8080, 9092, 27017):
        with pytest.raises(AddressRefused) as refusal:
            check_address(address, port)
        assert refusal.value.code == "port_refused"


def test_loopback_is_open_on_any_port_only_where_it_is_allowed_and_nothing_else_opens_with_it() -> None:
    for address in ("127.0.0.1", "127.8.8.8", "::1"):
        check_address(address, 12345, allow_loopback=True)
    for address in ("::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "fe80::1"):
        with pytest.raises(AddressRefused):
            check_address(address, 443, allow_loopback=True)
    with pytest.raises(AddressRefused):
        check_address("8.8.8.8", 12345, allow_loopback=True)


@given(st.ip_addresses())
def test_nothing_that_the_standard_library_calls_private_gets_through(address: ipaddress.IPv4Address) -> None:
    try:
        check_address(str(address), 443)
    except AddressRefused:
        return
    assert address.is_global
    assert not address.is_multicast
    assert not address.is_reserved


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "64:ff9b::", "::", "2002::"]))
def test_no_wrapping_of_an_ipv4_address_in_ipv6_gets_through(inner: ipaddress.IPv4Address, prefix: str) -> None:
    shift = 80 if prefix == "2002::" else 0
    wrapped = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(inner) << shift)
    with pytest.raises(AddressRefused):
        check_address(str(wrapped), 443)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org/hook",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://",
        "https:///hook",
        "https://user:secret@example.org/",
        "https://user@example.org/",
        "https://example.org:0/",
        "https://example.org:70000/",
        "https://example.org:x/",
        "https://[::1/",
        "https://example.org/#part",
        "https://example.org/a b",
        "https://example.org/\r\nHost: other",
        "https://example.org\\@other.org/",
        "https://例子.cn/",
        "https://example.org/" + "a" * 2048,
    ],
)
def test_a_url_that_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused) as refusal:
        endpoint_of(url)
    assert refusal.value.code == "url_refused"


def test_a_url_is_taken_apart_with_the_port_of_its_scheme() -> None:
    assert endpoint_of("https://Example.org/hook?a=1").lane == "example.org:443"
    assert endpoint_of("http://example.org/").port == 80
    assert endpoint_of("http://[::1]:8000/").host == "::1"
