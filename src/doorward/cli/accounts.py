"""``doorward accounts``: create, import, list, show, change, disable, enable."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from doorward.cli.flags import AsJson, Config, Cursor, Database, Limit, WhichAccount, group
from doorward.cli.importing import import_accounts
from doorward.cli.opening import command_line, find_account, opened

if TYPE_CHECKING:
    from doorward.accounts.model import AccountChange

_LONGEST_LINE = 4096

app = group("Open, import, find, change, disable and enable accounts.")
app.command("import")(import_accounts)


@app.command()
def create(
    email: Annotated[str, typer.Argument(help="The address to sign in with.")],
    *,
    name: Annotated[
        Optional[str],  # noqa: UP045 -- evaluated by typer
        typer.Option(help="What to call the person.", show_default=False),
    ] = None,
    role: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="A role, such as admin; may be repeated.", show_default=False),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
    ] = False,
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Open an account.  The password is asked for: as an argument it would stay in the shell's history."""
    from doorward.blocking import run_blocking
    from doorward.cli.output import plain, print_json
    from doorward.http.shapes import admin_account_json
    from doorward.secret import Secret

    password = Secret(_read_password(from_stdin=password_stdin))
    with opened(config=config, database=database) as auth:
        account = run_blocking(
            auth.sign_up(email=email, password=password, name=name, roles=role or (), actor=command_line())
        )
    if as_json:
        print_json({"account": admin_account_json(account)})
    else:
        print(f"Account {account.id} for {plain(account.email)} is open.")


def _read_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline(_LONGEST_LINE).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            "There is no terminal to ask for the password on.  Hand it over with --password-stdin."
        )
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


@app.command("list")
def list_accounts(
    query: Annotated[str, typer.Argument(help="A part of the address or the name.", show_default=False)] = "",
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Find accounts."""
    from msgspec import UNSET

    from doorward.blocking import run_blocking
    from doorward.cli.output import print_json, print_table, time
    from doorward.http.cursors import parse_page, write_cursor
    from doorward.http.shapes import AccountList, admin_account_json

    page = parse_page("accounts", limit=limit, cursor=cursor if cursor is not None else UNSET)
    with opened(config=config, database=database) as auth:
        found = run_blocking(auth.find_accounts(page, query=query))
    following = write_cursor("accounts", found[-1].id) if len(found) == limit else None
    if as_json:
        print_json(AccountList(accounts=tuple(map(admin_account_json, found)), next_cursor=following))
        return
    print_table(
        ("id", "e-mail", "name", "roles", "since", "state"),
        [
            (
                each.id,
                each.email,
                each.name,
                " ".join(each.roles) or None,
                time(each.created_at),
                _state(each.disabled_at),
            )
            for each in found
        ],
    )
    if following is not None:
        print(f"There may be more: --cursor {following}")


def _state(disabled_at: object) -> str:
    return "enabled" if disabled_at is None else "disabled"


@app.command()
def show(account: WhichAccount, *, database: Database = None, config: Config = None, as_json: AsJson = False) -> None:
    """One account."""
    from doorward.cli.output import print_json, print_table, time
    from doorward.http.shapes import admin_account_json

    with opened(config=config, database=database) as auth:
        found = find_account(auth, account)
    if as_json:
        print_json({"account": admin_account_json(found)})
        return
    rows = (
        ("id", found.id),
        ("e-mail", found.email),
        ("e-mail verified", "yes" if found.email_verified else "no"),
        ("name", found.name),
        ("roles", " ".join(found.roles) or None),
        ("since", time(found.created_at)),
        ("state", _state(found.disabled_at)),
        ("password", "set" if found.password_hash is not None else None),
    )
    print_table(("what", "value"), rows)


@app.command()
def change(
    account: WhichAccount,
    *,
    name: Annotated[
        Optional[str],  # noqa: UP045 -- evaluated by typer
        typer.Option(help="What to call the person.", show_default=False),
    ] = None,
    role: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="All roles from now on; may be repeated.", show_default=False),
    ] = None,
    no_roles: Annotated[bool, typer.Option("--no-roles", help="No role from now on.")] = False,
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Change the name or the roles of an account.  Access tokens that say the old roles are revoked."""
    from doorward.accounts.model import AccountChange

    if no_roles and role:
        raise typer.BadParameter("Give --role or --no-roles.")
    if name is None and not role and not no_roles:
        raise typer.BadParameter("Say what to change: --name, --role or --no-roles.")
    change = AccountChange(name=name, roles=tuple(role or ()) if role or no_roles else None)
    _change(account, change, database=database, config=config, as_json=as_json)


@app.command()
def disable(
    account: WhichAccount, *, database: Database = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Keep an account from signing in, and end all its sessions at once."""
    _set_disabled(account, disabled=True, database=database, config=config, as_json=as_json)


@app.command()
def enable(account: WhichAccount, *, database: Database = None, config: Config = None, as_json: AsJson = False) -> None:
    """Let a disabled account sign in again.  The sessions that ended stay so."""
    _set_disabled(account, disabled=False, database=database, config=config, as_json=as_json)


def _set_disabled(account: str, *, disabled: bool, database: str | None, config: Path | None, as_json: bool) -> None:
    from doorward.accounts.model import AccountChange

    _change(account, AccountChange(disabled=disabled), database=database, config=config, as_json=as_json)


def _change(account: str, change: AccountChange, *, database: str | None, config: Path | None, as_json: bool) -> None:
    from doorward.blocking import run_blocking
    from doorward.cli.output import plain, print_json
    from doorward.http.shapes import admin_account_json

    with opened(config=config, database=database) as auth:
        found = find_account(auth, account)
        changed = run_blocking(auth.change_account(found.id, change, actor=command_line()))
    if as_json:
        print_json({"account": admin_account_json(changed)})
    else:
        roles = f", roles: {' '.join(changed.roles)}" if changed.roles else ""
        print(f"Account {changed.id} ({plain(changed.email)}) is {_state(changed.disabled_at)}{roles}.")
