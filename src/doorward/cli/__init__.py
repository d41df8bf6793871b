"""The command line: one file a command.  What is slow to import is imported by the command that needs it."""

from __future__ import annotations

_PACKAGES = {
    "cli": {
        *("alembic", "argon2", "email_validator", "pydantic", "pydantic_settings", "rich", "sqlalchemy", "typer"),
        "zxcvbn",
    },
    "server": {"jinja2", "prometheus_client", "publicsuffixlist", "uvicorn", "uvloop"},
}
"""The extras that commands need, with the packages that each brings.  pip installs the script without any extra."""

_UNUSABLE = 2


def main() -> None:
    """The entry point ``doorward``."""
    import sys

    from doorward.cli.streams import open_missing_streams

    open_missing_streams()
    try:
        from doorward.cli.app import run

        sys.exit(run(sys.argv[1:]))
    except ModuleNotFoundError as error:
        remedy = _remedy(error)
        if remedy is None or "--debug" in sys.argv:
            raise
        print(f"doorward: {remedy}", file=sys.stderr)
        sys.exit(_UNUSABLE)


def _remedy(error: ModuleNotFoundError) -> str | None:
    """What to install, or None where no extra brings the module that is missing."""
    missing = (error.name or "").partition(".")[0]
    for extra, packages in _PACKAGES.items():
        if missing in packages:
            return f"{missing} is not installed, and this command needs it: pip install 'doorward[{extra}]'"
    return None
