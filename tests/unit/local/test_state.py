"""Whether a platform is up on a folder, and what a person is told to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.local.__main__ import app
from deploy.local.process import StartFailed
from deploy.local.state import hold, holder


def test_a_folder_that_is_held_says_how_to_look_at_its_platform_and_how_to_stop_it(tmp_path: Path) -> None:
    with hold(tmp_path / "state"), pytest.raises(StartFailed) as refused:
        hold(tmp_path / "state")
    for command in ("make status", "deploy.local status", "make down", "deploy.local down"):
        assert f"{command}`" in str(refused.value)
    assert holder(tmp_path / "state") is None


@pytest.mark.parametrize(("command", "code"), [("status", 1), ("down", 0)])
def test_where_no_platform_is_up_one_is_told_how_to_start_it(tmp_path: Path, command: str, code: int) -> None:
    ran = CliRunner().invoke(app, [command, "--state", str(tmp_path / "state")])
    assert ran.exit_code == code
    assert "no platform is up" in ran.output
    assert "`make dev`" in ran.output
