"""``doorward keys``: list, rotate, retire, revoke."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from doorward.cli.flags import AsJson, Config, Database, group
from doorward.cli.opening import command_line, opened

if TYPE_CHECKING:
    from doorward.doorward import Doorward
    from doorward.keys.model import StoredKey

app = group("List, rotate, retire and revoke the keys that sign access tokens.")


@app.command("list")
def list_keys(*, database: Database = None, config: Config = None, as_json: AsJson = False) -> None:
    """All keys that are kept, the oldest first.  Never a private part."""
    with opened(config=config, database=database) as auth:
        _show(auth, as_json=as_json)


@app.command()
def rotate(*, database: Database = None, config: Config = None, as_json: AsJson = False) -> None:
    """Let the waiting key sign, and publish the one after it.

    It waits, for seconds, until every server knows the key that is to sign.  The key that signed until now goes on
    verifying until its last token has expired: nobody is signed out.
    """
    from doorward.blocking import run_blocking

    with opened(config=config, database=database) as auth:
        run_blocking(auth.rotate_keys(actor=command_line()))
        _wait_until_it_signs(auth)
        _show(auth, as_json=as_json)


@app.command()
def retire(
    kid: Annotated[str, typer.Argument(metavar="KID", help="The key's id.")],
    *,
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let a key verify nothing any more: every token that it signed is refused from now on."""
    from doorward.blocking import run_blocking

    with opened(config=config, database=database) as auth:
        run_blocking(auth.retire_key(kid, actor=command_line()))
        _show(auth, as_json=as_json)


@app.command()
def revoke(
    kid: Annotated[str, typer.Argument(metavar="KID", help="The key's id.")],
    *,
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Drop a key that somebody else may have: servers and verifiers refuse every token that it signed, at once.

    Another key signs in its place.  Clients with a refresh token refresh; sessions that had nothing but such a token
    end.
    """
    from doorward.blocking import run_blocking
    from doorward.cli.output import print_json

    with opened(config=config, database=database) as auth:
        ended = run_blocking(auth.revoke_key(kid, actor=command_line()))
        if as_json:
            print_json({**_shown(auth), "sessions_ended": ended})
        else:
            print(f"Revoked: {kid}. Sessions that ended with it: {ended}.\n")
            _show(auth, as_json=False)


def _wait_until_it_signs(auth: Doorward) -> None:
    from doorward.blocking import run_blocking
    from doorward.keys.rules import KNOWN_AFTER, scheduled_key_of

    until = time.monotonic() + KNOWN_AFTER.total_seconds()
    while time.monotonic() < until:
        now = run_blocking(auth.deployment.store.now())
        if scheduled_key_of(run_blocking(auth.stored_keys()), now=now) is None:
            return
        time.sleep(0.1)


def _show(auth: Doorward, *, as_json: bool) -> None:
    from doorward.cli.output import print_json, print_table

    shown = _shown(auth)
    if as_json:
        print_json(shown)
        return
    columns = ("kid", "algorithm", "state", "created_at", "activates_at", "retiring_at", "retired_at")
    print_table(columns, [[key[column] for column in columns] for key in shown["keys"]])


def _shown(auth: Doorward) -> dict[str, Any]:
    from doorward.blocking import run_blocking

    now = run_blocking(auth.deployment.store.now())
    return {"keys": [_plain_values(key, now=now) for key in run_blocking(auth.stored_keys())]}


def _plain_values(key: StoredKey, *, now: datetime) -> dict[str, Any]:
    from doorward.http.message import write_time
    from doorward.keys.rules import UNSCHEDULED, state_of

    def written(instant: datetime | None) -> str | None:
        return write_time(instant) if instant is not None and instant != UNSCHEDULED else None

    return {
        "kid": key.kid,
        "algorithm": str(key.algorithm),
        "state": str(state_of(key, now=now)),
        "created_at": written(key.created_at),
        "activates_at": written(key.activates_at),
        "retiring_at": written(key.retiring_at),
        "retired_at": written(key.retired_at),
    }
