"""The life of one delivery: attempts, the end of it, replay, and late words of workers that lost it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify import delivery as deliveries
from services.notify.delivery import Delivery, DeliveryState, LeaseLost, Reply, delivery_id
from shared.contracts.notify import DeliveryFailed, DeliverySucceeded

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OK, BROKEN = Reply(status=204), Reply(status=500, answer="x" * 5000)


def queued(*, test: bool = False) -> Delivery:
    return Delivery(
        id="dlv_a",
        subscription="whk_a",
        event="01956c9f-0001-7c3e-8b1d-2f6a4e8c0d12",
        type="score.completed.v1",
        lane="example.org:443",
        test=test,
        created_at=NOW,
        due_at=NOW,
    )


def claimed(state: Delivery) -> Delivery:
    """What the store does when a worker takes a delivery."""
    return state.model_copy(update={"claims": state.claims + 1, "tried": state.tried + 1})


def test_a_taken_delivery_is_done_and_says_so() -> None:
    state, facts = deliveries.record(claimed(queued()), 1, OK, NOW, chance=0.5)
    assert state.state is DeliveryState.SUCCEEDED
    assert state.due_at is None
    assert facts == [
        DeliverySucceeded(delivery="dlv_a", subscription="whk_a", event=state.event, attempts=1, at=NOW, status=204)
    ]


def test_eight_failures_end_a_delivery_and_every_attempt_is_in_the_log() -> None:
    state, moment = queued(), NOW
    facts: object = []
    for attempt in range(1, 9):
        state = claimed(state)
        state, facts = deliveries.record(state, attempt, BROKEN, moment, chance=0.5)
        moment = state.due_at or moment
    assert moment - NOW == timedelta(hours=27, minutes=35, seconds=5)
    assert state.state is DeliveryState.FAILED
    assert state.reason == "exhausted"
    assert [line.number for line in state.attempts] == list(range(1, 9))
    assert {len(line.answer) for line in state.attempts} == {4096}
    assert facts == [
        DeliveryFailed(
            delivery="dlv_a", subscription="whk_a", event=state.event, attempts=8, at=moment, reason="exhausted"
        )
    ]


def test_a_410_ends_a_delivery_at_once() -> None:
    state, _ = deliveries.record(claimed(queued()), 1, Reply(status=410), NOW, chance=0.5)
    assert (state.state, state.reason) == (DeliveryState.FAILED, "gone")


@pytest.mark.parametrize("status", [100, 199, 300, 301, 302, 307, 400, 404, 429, 500, 503])
def test_only_2xx_is_a_success(status: int) -> None:
    state, _ = deliveries.record(claimed(queued()), 1, Reply(status=status), NOW, chance=0.5)
    assert state.state is DeliveryState.PENDING


def test_a_2xx_whose_body_never_came_is_not_a_success() -> None:
    state, _ = deliveries.record(claimed(queued()), 1, Reply(status=200, error="time_out"), NOW, chance=0.5)
    assert state.state is DeliveryState.PENDING


def test_a_test_event_is_tried_once() -> None:
    state, _ = deliveries.record(claimed(queued(test=True)), 1, BROKEN, NOW, chance=0.5)
    assert (state.state, state.reason) == (DeliveryState.FAILED, "exhausted")


def test_a_worker_that_lost_its_lease_is_not_heard() -> None:
    state = claimed(claimed(queued()))
    with pytest.raises(LeaseLost):
        deliveries.record(state, 1, OK, NOW, chance=0.5)
    with pytest.raises(LeaseLost):
        deliveries.postpone(state, 1, NOW)
    done, _ = deliveries.record(state, 2, OK, NOW, chance=0.5)
    with pytest.raises(LeaseLost):
        deliveries.record(done, 2, BROKEN, NOW, chance=0.5)


def test_a_postponed_delivery_has_lost_no_attempt_but_its_claim_stays_spent() -> None:
    state = claimed(queued())
    postponed, _ = deliveries.postpone(state, 1, NOW + timedelta(hours=1))
    assert (postponed.tried, postponed.claims, postponed.due_at) == (0, 1, NOW + timedelta(hours=1))
    with pytest.raises(LeaseLost):
        deliveries.record(claimed(postponed), 1, OK, NOW, chance=0.5)


def test_a_replay_has_the_whole_table_again_and_keeps_the_id_and_the_log() -> None:
    state, _ = deliveries.record(claimed(queued()), 1, Reply(status=410), NOW, chance=0.5)
    again, _ = deliveries.replay(state, NOW + timedelta(days=1))
    assert (again.id, again.state, again.tried) == (state.id, DeliveryState.PENDING, 0)
    done, facts = deliveries.record(claimed(again), 2, OK, NOW, chance=0.5)
    assert [line.status for line in done.attempts] == [410, 204]
    assert isinstance(facts[0], DeliverySucceeded)
    assert facts[0].attempts == 2


def test_replaying_what_is_on_its_way_changes_nothing() -> None:
    state = claimed(queued())
    assert deliveries.replay(state, NOW)[0] is state


@given(st.lists(st.sampled_from(["ok", "fail", "die", "postpone", "replay"]), max_size=60))
def test_attempts_are_bounded_whatever_workers_do(steps: list[str]) -> None:
    state = queued()
    for step in steps:
        if state.state is not DeliveryState.PENDING:
            if step == "replay":
                state, _ = deliveries.replay(state, NOW)
            continue
        state = claimed(state)
        if step == "postpone":
            state, _ = deliveries.postpone(state, state.claims, NOW)
        elif step in ("ok", "fail"):
            state, _ = deliveries.record(state, state.claims, OK if step == "ok" else BROKEN, NOW, chance=0.5)
        assert (state.due_at is None) == (state.state is not DeliveryState.PENDING)
        if step == "fail" and state.tried >= 8:
            assert state.state is DeliveryState.FAILED
        assert len(state.attempts) <= deliveries.ATTEMPTS_KEPT


def test_the_id_of_a_delivery_is_that_of_its_event_and_subscription_and_is_a_uuid7() -> None:
    one = delivery_id("whk_a", "evt_a", NOW)
    assert one == delivery_id("whk_a", "evt_a", NOW)
    assert len({one, delivery_id("whk_b", "evt_a", NOW), delivery_id("whk_a", "evt_b", NOW)}) == 3
    assert re.fullmatch(r"dlv_[0-7][0-9a-hjkmnp-tv-z]{25}", one)
    assert delivery_id("whk_z", "evt_z", NOW) < delivery_id("whk_a", "evt_a", NOW + timedelta(milliseconds=1))
