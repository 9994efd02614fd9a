"""Check digits are those that a plain computation gives."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from jiebang.detectors.finance import credit_code_check, is_card, luhn
from jiebang.detectors.identity import check_character
from jiebang.detectors.network import is_global
from jiebang.detectors.vehicles import vin_check
from tests.naive import personal

DIGITS = "0123456789"


@given(st.text(DIGITS, min_size=17, max_size=17))
def test_the_check_character_of_an_identity_number_makes_its_weighted_sum_one(number: str) -> None:
    last = check_character(number)
    value = 10 if last == "X" else int(last)
    assert (sum(int(digit) * pow(2, 17 - place) for place, digit in enumerate(number)) + value) % 11 == 1


@given(st.text(DIGITS, min_size=1, max_size=25))
def test_luhn_is_the_sum_of_digits_with_every_second_doubled(digits: str) -> None:
    assert luhn(digits) == personal.luhn(digits)


@given(st.text(DIGITS, min_size=12, max_size=20))
def test_a_card_is_of_a_network_by_its_beginning_and_length(digits: str) -> None:
    assert is_card(digits) == (personal.network_of(digits) is not None)


@given(st.text("0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=17, max_size=17))
def test_the_check_character_of_an_organisation_makes_its_weighted_sum_zero(code: str) -> None:
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    weights = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28]  # as the standard prints them
    total = sum(alphabet.index(character) * weight for character, weight in zip(code, weights, strict=True))
    assert (total + alphabet.index(credit_code_check(code))) % 31 == 0


def test_published_numbers_pass() -> None:
    assert check_character("11010519491231002") == "X"  # the example of GB 11643
    assert credit_code_check("91350100M000100Y4") == "3"  # the example of GB 32100
    for vin in ("1M8GDM9AXKP042788", "11111111111111111", "5GZCZ43D13S812715"):
        assert vin_check(vin) == vin[8]
    for card in ("378282246310005", "5555555555554444", "4111111111111111", "3530111333300000"):
        assert luhn(card)
        assert is_card(card)


@given(st.integers(0, 2**32 - 1))
def test_what_is_no_global_address_for_python_is_none_for_us(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if is_global(str(address)):
        assert not (address.is_private)
        assert not (address.is_loopback)
        assert not (address.is_link_local)
        assert not (address.is_multicast)
