"""The command line: one file a command.  What is slow to import is imported by the command that needs it."""

from __future__ import annotations


def main() -> None:
    """The entry point ``doorward``."""
    import sys

    from doorward.cli.streams import open_missing_streams

    open_missing_streams()
    from doorward.cli.app import run

    sys.exit(run(sys.argv[1:]))
