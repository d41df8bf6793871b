"""``doorward verifiers``: the services that read the revocation feed."""

from __future__ import annotations

from typing import Annotated

import typer

from doorward.cli.flags import AsJson, Config, Database, group
from doorward.cli.opening import command_line, opened

app = group("Add, list and revoke the services that verify tokens and read the revocation feed.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="What you call it.")]


@app.command()
def add(name: _Name, *, database: Database = None, config: Config = None, as_json: AsJson = False) -> None:
    """Let a service read the revocation feed.  Prints its credential, which is shown this once."""
    from doorward.blocking import run_blocking
    from doorward.cli.output import print_json

    with opened(config=config, database=database) as auth:
        credential = run_blocking(auth.add_verifier(name, actor=command_line())).reveal()
    if as_json:
        print_json({"name": name, "credential": credential})
    else:
        print(credential)


@app.command("list")
def list_verifiers(*, database: Database = None, config: Config = None, as_json: AsJson = False) -> None:
    """All of them, by name.  Never a credential: only hashes are kept."""
    from doorward.blocking import run_blocking
    from doorward.cli.output import print_json, print_table
    from doorward.http.message import write_time

    with opened(config=config, database=database) as auth:
        found = run_blocking(auth.verifiers())
    rows = [{"name": each.name, "id": each.id, "created_at": write_time(each.created_at)} for each in found]
    if as_json:
        print_json({"verifiers": rows})
    else:
        print_table(("name", "id", "created_at"), [list(row.values()) for row in rows])


@app.command()
def revoke(name: _Name, *, database: Database = None, config: Config = None) -> None:
    """Let the credential of a service be good for nothing any more; its streams end within a second or two."""
    from doorward.blocking import run_blocking

    with opened(config=config, database=database) as auth:
        run_blocking(auth.revoke_verifier(name, actor=command_line()))
    print(f"Revoked: {name}")
