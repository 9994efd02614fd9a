"""The commands of operators: what they refuse."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Command
from tests.unit.cli.platform import Platform


@pytest.mark.parametrize("command", [("list", "nosuch"), ("show", "nosuch", "x"), ("discard", "nosuch", "x")])
def test_a_service_without_dead_letters_is_told_from_those_with(
    logged_in: Command, platform: Platform, command: tuple[str, ...]
) -> None:
    ran = logged_in("ops", "dlq", *command)
    assert ran.code == 2
    assert "Choose from ingest, scoring, ranking, notify." in ran.err
    assert platform.requests == []
