"""What a subscription wants, how it is signed, and how it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.notify import subscription as subscriptions
from services.notify.subscription import (
    OUTCOMES,
    DisabledBecause,
    Filters,
    Subscription,
    SubscriptionRefused,
    SubscriptionState,
    secret_of,
)
from shared.contracts.board import PhaseClosed, Role, TeamRegistered
from shared.contracts.envelope import Fact
from shared.contracts.notify import SubscriptionDisabled
from shared.contracts.ranking import LeaderChanged
from shared.contracts.registry import FACTS
from shared.contracts.scoring import ScoreCompleted

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = secret_of(bytes(range(32)))


def score(total: str, challenge: str = "chl_a", submission: str = "sub_a") -> ScoreCompleted:
    return ScoreCompleted(
        submission=submission,
        challenge=challenge,
        challenge_version=1,
        phase="preliminary",
        team="team_a",
        received_at=NOW,
        rubric_digest="0" * 64,
        total=total,
        dimensions={},
        coverage="1.000000",
        grade="A",
        provisional=False,
        dataset_digest="0" * 64,
        engine="0.1.0",
        report_key="k",
        report_sha256="0" * 64,
    )


LEADER = LeaderChanged(
    challenge="chl_a", phase="preliminary", board_seq=1, team="team_a", submission="sub_a", total="91.000000"
)
CLOSED = PhaseClosed(challenge="chl_a", phase="preliminary", at=NOW)


def subscribed(**filters: object) -> Subscription:
    state, facts = subscriptions.create(
        "whk_a",
        owner="spn_a",
        url="https://example.org/hook",
        filters=Filters.model_validate(filters),
        description=None,
        secret=SECRET,
        now=NOW,
    )
    assert facts == []
    return state


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, [score("10.000000"), score("95.000000"), LEADER, CLOSED]),
        ({"types": ("phase.closed.v1",)}, [CLOSED]),
        ({"types": ("score.completed.v1",)}, [score("10.000000"), score("95.000000")]),
        ({"min_total": "90"}, [score("95.000000")]),
        ({"min_total": "95.000000"}, [score("95.000000")]),
        ({"min_total": "0"}, [score("10.000000"), score("95.000000")]),
        ({"new_leader": True}, [LEADER]),
        ({"min_total": "90", "new_leader": True}, [score("95.000000"), LEADER]),
        ({"types": ("phase.closed.v1",), "new_leader": True}, [LEADER, CLOSED]),
        ({"types": ("phase.closed.v1", "score.completed.v1"), "min_total": "90"}, [score("95.000000"), CLOSED]),
        ({"challenges": ("chl_b",)}, []),
        ({"challenges": ("chl_a", "chl_b"), "min_total": "90"}, [score("95.000000")]),
    ],
)
def test_filters_add_to_each_other_and_challenges_narrow_them(filters: dict[str, object], wanted: list[Fact]) -> None:
    state = subscribed(**filters)
    everything = [score("10.000000"), score("95.000000"), LEADER, CLOSED]
    assert [fact for fact in everything if state.wants("chl_a", fact, NOW)] == wanted


def test_totals_are_compared_as_numbers_not_as_text() -> None:
    state = subscribed(min_total="9.5")
    assert state.wants("chl_a", score("10.000000"), NOW)
    assert state.wants("chl_a", score("100.000000"), NOW)
    assert not state.wants("chl_a", score("9.499999"), NOW)


def test_a_sponsor_is_told_of_certificates() -> None:
    assert {name for name in FACTS if name.startswith("certificate.")} == {
        fact.type for fact in OUTCOMES if fact.type.startswith("certificate.")
    }


def test_what_happened_before_the_subscription_is_not_delivered() -> None:
    state = subscribed()
    assert not state.wants("chl_a", CLOSED, NOW - timedelta(milliseconds=1))
    assert state.wants("chl_a", CLOSED, NOW)


def test_people_and_credentials_never_go_out() -> None:
    state = subscribed()
    assert not state.wants("chl_a", TeamRegistered(team="team_a", members=1), NOW)
    private = [name for name in FACTS if name.startswith(("credential.", "team.", "registration.", "subscription."))]
    assert private
    assert not {fact.type for fact in OUTCOMES} & set(private)
    assert Role.TEAM  # the roles live in the same file as the phases that do go out


def test_a_new_secret_signs_with_the_old_one_for_a_day_and_no_older_one_does() -> None:
    second, third = secret_of(b"b" * 32), secret_of(b"c" * 32)
    state, _ = subscriptions.rotate(subscribed(), second, NOW)
    assert state.live_secrets(NOW) == (second, SECRET)
    assert state.live_secrets(NOW + 24 * HOUR - timedelta(seconds=1)) == (second, SECRET)
    assert state.live_secrets(NOW + 24 * HOUR) == (second,)
    assert subscriptions.rotate(state, second, NOW + HOUR)[0] is state
    state, _ = subscriptions.rotate(state, third, NOW + HOUR)
    assert state.live_secrets(NOW + HOUR) == (third, second)


def test_no_secret_is_shown_by_repr_or_str() -> None:
    state, _ = subscriptions.rotate(subscribed(), secret_of(b"b" * 32), NOW)
    for shown in (repr(state), str(state), repr(state.secrets), f"{state.secrets[0]}"):
        assert "whsec_" not in shown
        assert SECRET.removeprefix("whsec_") not in shown


def test_a_410_disables_at_once_and_says_so() -> None:
    state, facts = subscriptions.failed(subscribed(), NOW, gone=True)
    assert state.state is SubscriptionState.DISABLED
    assert state.reason == "gone"
    assert facts == [SubscriptionDisabled(subscription="whk_a", reason="gone", at=NOW)]
    assert subscriptions.failed(state, NOW + HOUR, gone=True) == (state, [])


def test_five_days_of_failure_disable_and_say_so_once() -> None:
    state, said = subscribed(), []
    for hours in range(0, 200, 10):
        state, facts = subscriptions.failed(state, NOW + hours * HOUR)
        said += facts
    assert state.reason == DisabledBecause.FIVE_DAYS_OF_FAILURE
    assert said == [SubscriptionDisabled(subscription="whk_a", reason="five_days_of_failure", at=NOW + 120 * HOUR)]


def test_one_success_in_between_forgives_everything() -> None:
    state = subscribed()
    for hours in range(0, 200, 10):
        state, facts = subscriptions.failed(state, NOW + hours * HOUR, quiet_until=NOW + 1000 * HOUR)
        assert facts == []
        assert state.state is SubscriptionState.FAILING
        if hours % 50 == 0:
            state, _ = subscriptions.succeeded(state)
            assert state.state is SubscriptionState.ACTIVE
            assert state.quiet_until is None


def test_a_success_of_a_healthy_endpoint_changes_nothing_so_that_nothing_is_written() -> None:
    state = subscribed()
    assert subscriptions.succeeded(state)[0] is state


def test_pausing_and_resuming_are_idempotent_and_a_disabled_one_can_only_be_resumed() -> None:
    paused, _ = subscriptions.pause(subscribed(), NOW)
    assert paused.state is SubscriptionState.PAUSED
    assert subscriptions.pause(paused, NOW + HOUR)[0] is paused
    active, _ = subscriptions.resume(paused)
    assert active.state is SubscriptionState.ACTIVE
    assert subscriptions.resume(active)[0] is active
    disabled, _ = subscriptions.failed(active, NOW, gone=True)
    with pytest.raises(SubscriptionRefused):
        subscriptions.pause(disabled, NOW)
    again, _ = subscriptions.resume(disabled)
    assert again.state is SubscriptionState.ACTIVE
    assert again.health.clean


def test_a_failure_while_paused_does_not_start_it_again() -> None:
    paused, _ = subscriptions.pause(subscribed(), NOW)
    failed, _ = subscriptions.failed(paused, NOW)
    assert failed.state is SubscriptionState.PAUSED
