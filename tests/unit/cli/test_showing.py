"""What a terminal is given of a stranger's words."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

import jiebang
from jiebang.cli.showing import show_report


def test_no_word_of_a_dataset_gives_the_terminal_an_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("a\x1b]0;title\x07,b\x1b[2J,c\x9b1m,[red]d\n,,,\n".encode())
    shown = io.StringIO()
    show_report(
        Console(file=shown, width=200, highlight=False), jiebang.score(tmp_path, label="a\x1b]0;title\x07").as_dict()
    )
    assert "a�]0;title�" in shown.getvalue()
    assert all(character.isprintable() or character == "\n" for character in shown.getvalue())
