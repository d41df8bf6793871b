"""Flags that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperGroup

Config = Annotated[
    Optional[Path],  # noqa: UP045 -- evaluated by typer, not only read by a type checker
    typer.Option(help="Read this file instead of ./doorward.toml.", show_default=False),
]
Database = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="sqlite:///file.db or postgresql://...  [sqlite:///doorward.db]", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Limit = Annotated[int, typer.Option(help="At most so many.", min=1, max=200)]
Cursor = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Go on after an earlier page: its next_cursor.", show_default=False),
]
WhichAccount = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its e-mail address or its id.")]


class Group(TyperGroup):
    """A command with commands below it.

    typer reads the absence of --help by importing pydantic, which takes longer than all the rest of ``--help``: a
    default that is a bool needs no reading.
    """

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option


def group(about: str) -> typer.Typer:
    """A command with commands below it."""
    return typer.Typer(cls=Group, help=about, no_args_is_help=True, rich_markup_mode=None)
