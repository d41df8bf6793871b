"""``doorward openapi``."""

from __future__ import annotations

from typing import Annotated, Optional

import typer


def openapi(
    *,
    server: Annotated[
        Optional[str],  # noqa: UP045 -- evaluated by typer
        typer.Option(help="The address to name in it.  [none]", show_default=False),
    ] = None,
) -> None:
    """Print the OpenAPI 3.1 document, made from the same table as the routes."""
    from doorward.cli.output import print_json
    from doorward.http.openapi import make_document
    from doorward.http.operations import TABLE

    print_json(make_document(TABLE, server=server))
