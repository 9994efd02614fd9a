"""The `jiebang` command: judging on this machine, and the platform from a terminal.

Every command takes `--json`. It ends with 0 when it is done, 1 when the answer is no, 2 when it was used wrongly, and 3
when something could not be reached or done.
"""


def main() -> None:
    """Run the command with the arguments of this process."""
    from jiebang.cli.app import run

    run()


__all__ = ["main"]
