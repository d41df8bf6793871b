"""``manage.py doorward ...``: the commands that work on the project's own deployment."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    """Hands everything over to the command behind it, ``--help`` included."""

    help = "Doorward: accounts, sessions, audit, keys, verifiers, migrate, cleanup."
    requires_system_checks: list[str] = []  # noqa: RUF012 -- as Django declares it

    def run_from_argv(self, argv: list[str]) -> None:
        """Run it from the command line."""
        sys.exit(_run(argv[2:]))

    def add_arguments(self, parser: CommandParser) -> None:
        """For ``call_command("doorward", "accounts", "list")``."""
        parser.add_argument("arguments", nargs="*")

    def handle(self, *_: Any, arguments: list[str], **__: Any) -> None:
        """Run it from Python."""
        code = _run(arguments)
        if code:
            raise CommandError(f"doorward ended with {code}", returncode=code)


def _run(arguments: list[str]) -> int:
    from doorward.cli.app import UNUSABLE, run, told
    from doorward.errors import ConfigurationError
    from doorward.web.django.conf import deployment

    try:
        auth = deployment()
    except ConfigurationError as refused:
        print(f"doorward: {told(refused)}", file=sys.stderr)  # noqa: T201 -- as the commands themselves do
        return UNUSABLE
    return run(arguments, auth=auth, name="manage.py doorward")
