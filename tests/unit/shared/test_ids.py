from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from shared.ids import CROCKFORD, SystemIds, base32, made_at


def test_an_id_is_a_prefix_and_26_characters() -> None:
    id = SystemIds().new("sub")
    prefix, _, rest = id.partition("_")
    assert prefix == "sub"
    assert len(rest) == 26
    assert set(rest) <= set(CROCKFORD)


def test_a_uuid_is_version_7_of_the_rfc_variant() -> None:
    made = SystemIds().uuid7()
    assert made.version == 7
    assert made.variant == uuid.RFC_4122


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_base32_keeps_the_order_of_the_bits(a: int, b: int) -> None:
    assert (a < b) == (base32(uuid.UUID(int=a)) < base32(uuid.UUID(int=b)))


@given(st.lists(st.integers(-3_600_000, 3_600_000), max_size=200))
def test_ids_increase_whatever_the_clock_does(steps: list[int]) -> None:
    now = 1_790_000_000_000

    def clock() -> int:
        return now

    ids = SystemIds(clock)
    made = [ids.new("evt")]
    for step in steps:
        now += step
        made.append(ids.new("evt"))
    assert made == sorted(made)
    assert len(set(made)) == len(made)


@given(st.integers(0, 4_000_000_000_000))
def test_an_id_says_when_it_was_made(milliseconds: int) -> None:
    made = made_at(SystemIds(lambda: milliseconds).new("key"))
    assert made is not None
    assert round(made.timestamp() * 1000) == milliseconds


def test_an_id_that_claims_an_impossible_moment_claims_none() -> None:
    assert made_at("key_" + "z" * 26) is None
