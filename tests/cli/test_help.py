"""``--help`` says everything and imports next to nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

SLOW = {
    *("alembic", "argon2", "asyncio", "cryptography", "httptools", "joserfc", "logging", "msgspec"),
    *("prometheus_client", "pydantic", "pydantic_settings", "rich", "sqlalchemy", "sqlite3", "starlette"),
    *("uvicorn", "uvloop", "zxcvbn"),
}
COMMANDS = [
    [],
    ["serve"],
    ["migrate"],
    ["accounts"],
    ["accounts", "create"],
    ["accounts", "list"],
    ["accounts", "show"],
    ["accounts", "change"],
    ["accounts", "disable"],
    ["accounts", "enable"],
    ["sessions"],
    ["sessions", "list"],
    ["sessions", "end"],
    ["sessions", "explain"],
    ["keys"],
    ["keys", "list"],
    ["keys", "rotate"],
    ["keys", "retire"],
    ["token"],
    ["token", "inspect"],
    ["config"],
    ["config", "show"],
    ["doctor"],
    ["openapi"],
    ["audit"],
    ["cleanup"],
    ["copy"],
    ["version"],
]

Command = Callable[..., Any]

ASK = """
import json, sys
from doorward.cli.app import run
for arguments in {commands!r}:
    assert run([*arguments, "--help"]) == 0
print(sorted(name for name in sys.modules if "." not in name))
"""


def test_no_help_imports_what_is_slow_to_import() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(commands=COMMANDS)], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(ast.literal_eval(done.stdout.splitlines()[-1])) & SLOW == set()


def test_importing_doorward_imports_nothing_of_others() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, doorward; print(sorted(name for name in sys.modules if '.' not in name))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert set(ast.literal_eval(done.stdout)) & (SLOW | {"typer"}) == set()


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: Command, arguments: list[str]) -> None:
    done = command(*arguments, "--help")
    assert done.code == 0
    assert done.out.startswith("Usage: doorward")
    assert done.err == ""


def test_the_help_documents_the_exit_codes(command: Command) -> None:
    text = " ".join(command("--help").out.split())
    assert "Exit codes: 0 done; 1 refused" in text
    assert "2 the command line, the settings or the database cannot be used" in text


def test_no_command_at_all_is_answered_with_the_help(command: Command) -> None:
    done = command()
    assert "Usage: doorward" in done.out + done.err


def test_version_tells_both_versions(command: Command) -> None:
    done = command("version")
    assert done.code == 0
    assert done.out.startswith("doorward ")
    assert "Python 3." in done.out
