"""``doorward sessions``: list, end, explain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from doorward.cli.flags import AsJson, Config, Database, group
from doorward.cli.opening import command_line, find_account, opened

if TYPE_CHECKING:
    from doorward.audit.model import AuditEvent
    from doorward.doorward import Doorward

_PAGE = 200
_MOST_EVENTS = 20_000

app = group("List and end sessions, and explain why one has ended.")

_Account = typer.Option(metavar="EMAIL_OR_ID", help="Whose.", show_default=False)


@app.command("list")
def list_sessions(
    *,
    account: Annotated[str, _Account],
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """The sessions of an account that stand, the newest first."""
    from doorward.blocking import run_blocking
    from doorward.cli.output import print_json, print_table, time
    from doorward.http.shapes import SessionList, session_json

    with opened(config=config, database=database) as auth:
        found = run_blocking(auth.sessions(find_account(auth, account).id))
    if as_json:
        shown = tuple(session_json(each, current=None, places=auth.places) for each in found)
        print_json(SessionList(sessions=shown))
        return
    print_table(
        ("id", "started", "last seen", "ends unless used", "remembered", "strategy", "from", "by", "label"),
        [
            (
                each.id,
                time(each.created_at),
                time(each.last_seen_at),
                time(each.leaves_at),
                "yes" if each.remembered else "no",
                each.strategy,
                each.origin.ip,
                each.origin.user_agent,
                each.label,
            )
            for each in found
        ],
    )


@app.command()
def end(
    session: Annotated[
        Optional[str],  # noqa: UP045 -- evaluated by typer
        typer.Argument(metavar="[ID]", help="The session to end.", show_default=False),
    ] = None,
    *,
    account: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="EMAIL_OR_ID", help="End all sessions of this account instead.", show_default=False),
    ] = None,
    everybody: Annotated[bool, typer.Option("--everybody", help="End the sessions of all accounts instead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --everybody: do not ask.")] = False,
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """End one session, all of an account, or those of all accounts.  A running server knows within a second."""
    from doorward.cli.output import print_json

    if [session is not None, account is not None, everybody].count(True) != 1:
        raise typer.BadParameter("Give the id of a session, --account or --everybody.")
    if everybody and not yes:
        typer.confirm(
            "Sign out everybody, on every device? All access tokens are refused as well.", abort=True, err=True
        )
    with opened(config=config, database=database) as auth:
        ended = _end_everybody(auth) if everybody else _end(auth, session=session, account=account)
    if as_json:
        print_json({"revoked": ended})
    else:
        print(f"Ended: {ended} session{'' if ended == 1 else 's'}.")


def _end_everybody(auth: Doorward) -> int:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from doorward.blocking import run_blocking

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("ended {task.completed:,.0f} sessions"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        return run_blocking(
            auth.end_everybody(actor=command_line(), report=lambda ended: bar.update(task, completed=ended))
        )


def _end(auth: Doorward, *, session: str | None, account: str | None) -> int:
    from doorward.blocking import run_blocking
    from doorward.sessions.model import EndReason

    if session is not None:
        run_blocking(auth.end_session(session, account_id=None, reason=EndReason.ADMIN, actor=command_line()))
        return 1
    owner = find_account(auth, account or "")
    return run_blocking(auth.end_sessions(owner.id, reason=EndReason.ADMIN, actor=command_line()))


@app.command()
def explain(
    session: Annotated[str, typer.Argument(metavar="ID", help="The session's id: sid in its tokens.")],
    *,
    every: Annotated[bool, typer.Option("--all", help="Each rotation in a line of its own.")] = False,
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """The life of a session, from the audit trail: how it went, whether it has ended, and why."""
    from doorward.blocking import run_blocking
    from doorward.cli.output import plain, print_json, print_table, time
    from doorward.cli.timeline import conclusion, timeline
    from doorward.errors import NotFound
    from doorward.http.shapes import audit_event_json

    with opened(config=config, database=database) as auth:
        sighting = run_blocking(auth.deployment.store.session_by_id(session))
        events = _whole_trail(auth, session)
    if sighting.session is None and not events:
        raise NotFound("No session has this id. Ended ones are kept for session_retention.")
    verdict = conclusion(sighting, events)
    if as_json:
        print_json({"session": session, "conclusion": verdict, "events": [audit_event_json(each) for each in events]})
        return
    print_table(("when", "what"), [(time(line.at), line.text) for line in timeline(events, every=every)])
    print(f"\n{plain(verdict)}")


def _whole_trail(auth: Doorward, session: str) -> list[AuditEvent]:
    """All events of the session, the oldest first; of an endless trail the newest."""
    from doorward.blocking import run_blocking
    from doorward.ports import Page

    events: list[AuditEvent] = []
    after: str | None = None
    while len(events) < _MOST_EVENTS:
        page = run_blocking(auth.trail(Page(limit=_PAGE, after=after), session=session))
        events += page
        if len(page) < _PAGE:
            break
        after = str(page[-1].id)
    return events[::-1]
