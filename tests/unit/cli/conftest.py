"""The command as a person runs it: arguments in, words or JSON and an exit code out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jiebang.cli import main
from tests.unit.cli.platform import Platform


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ran]


@pytest.fixture
def platform() -> Iterator[Platform]:
    with Platform() as platform:
        yield platform


@pytest.fixture
def jiebang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `jiebang ARGUMENTS…` with a configuration of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("JIEBANG_URL", raising=False)
    monkeypatch.delenv("JIEBANG_KEY", raising=False)

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["jiebang", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def logged_in(jiebang: Command, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, logged in to the platform as a team."""
    monkeypatch.setenv("JIEBANG_URL", platform.url)
    monkeypatch.setenv("JIEBANG_KEY", "jb_team_k1_secret")
    return jiebang
