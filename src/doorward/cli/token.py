"""``doorward token inspect``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from doorward.cli.flags import AsJson, Config, Database, group

if TYPE_CHECKING:
    from doorward.cli.claims import Verdict

_LONGEST = 16_384
_STANDARD_INPUT = "-"

app = group("Explain tokens.")


@app.callback()
def tokens() -> None:
    """Explain tokens."""


@app.command()
def inspect(
    text: Annotated[
        str,
        typer.Argument(
            metavar="[TOKEN]", help="- reads it from standard input, where no shell keeps it in its history."
        ),
    ] = _STANDARD_INPUT,
    *,
    jwks: Annotated[
        Optional[Path],  # noqa: UP045 -- evaluated by typer
        typer.Option(help="Verify by this key set (RFC 7517) instead of the database's keys.", show_default=False),
    ] = None,
    issuer: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="What iss has to be.  [the issuer of the settings]", show_default=False),
    ] = None,
    audience: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="What aud has to name.  [the audience of the settings]", show_default=False),
    ] = None,
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Explain an access token in plain words, and say whether it is verified.

    Exit code 1: it is refused.  A token that could not be verified for want of keys is explained with exit code 0.
    """
    from datetime import UTC, datetime

    from doorward.cli.claims import describe
    from doorward.cli.output import print_json, print_table
    from doorward.errors import InvalidToken
    from doorward.tokens.access import read_unverified_access_token

    text = _read(text)
    _refuse_other_kinds(text)
    try:
        header, claims = read_unverified_access_token(text)
    except InvalidToken as error:
        raise InvalidToken(f"REFUSED: it cannot even be read: {error.detail}.") from None
    verdict = _judge(text, jwks=jwks, issuer=issuer, audience=audience, database=database, config=config)
    if as_json:
        print_json({"verdict": verdict.kind, "why": verdict.why, "header": header, "claims": claims})
    else:
        print(f"{verdict.headline}\n")
        rows = describe(header, claims, now=datetime.now(UTC))
        print_table(("where", "name", "value", "meaning"), rows)
        if verdict.kind == "refused" and verdict.why.startswith("the iss "):
            print("\nIf you trust that issuer, name it: --issuer, DOORWARD_ISSUER or a line of doorward.toml.")
    raise typer.Exit(verdict.kind == "refused")


def _read(text: str) -> str:
    if text != _STANDARD_INPUT:
        return text.strip().removeprefix("Bearer ")
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("Token (it is not shown): ").strip().removeprefix("Bearer ")
    return sys.stdin.read(_LONGEST).strip().removeprefix("Bearer ")


def _refuse_other_kinds(text: str) -> None:
    from doorward.errors import InvalidToken

    if text.startswith("dwr_"):
        raise InvalidToken("This is a refresh token: opaque, and good for one presentation. Treat it as a password.")
    if text.startswith("dws_"):
        raise InvalidToken("This is the handle of a session cookie: opaque. Treat it as a password.")


def _judge(
    text: str, *, jwks: Path | None, issuer: str | None, audience: str | None, database: str | None, config: Path | None
) -> Verdict:
    from doorward.cli.claims import judge_by_database, judge_by_key_set, unjudged
    from doorward.server.settings import load_settings

    flags = {"database": database, "issuer": issuer, "audience": audience}
    settings = load_settings(flags, config=config).settings
    if jwks is not None:
        return judge_by_key_set(text, jwks, settings)
    file = settings.database_file
    if file is None or not file.exists():
        return unjudged("there is no database here whose keys could tell; name one with --database, or give --jwks")
    return judge_by_database(text, settings)
