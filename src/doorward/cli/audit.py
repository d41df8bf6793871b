"""``doorward audit``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from doorward.cli.flags import AsJson, Config, Cursor, Database
from doorward.cli.opening import find_account, opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from doorward.audit.model import Action, AuditEvent
    from doorward.doorward import Doorward
    from doorward.ports import Page

_Text = Optional[str]  # noqa: UP045 -- evaluated by typer
_PAGE = 200
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO = re.compile(r"([0-9]{1,6})([smhdw])", re.ASCII)


def audit(
    *,
    account: Annotated[
        _Text, typer.Option(metavar="EMAIL_OR_ID", help="Of this account alone.", show_default=False)
    ] = None,
    action: Annotated[_Text, typer.Option(help="Such as session.refused.", show_default=False)] = None,
    since: Annotated[
        _Text, typer.Option(help="Not before: 30m, 12h, 7d, or 2026-11-30T12:00:00Z.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 50,
    cursor: Cursor = None,
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """The audit trail, the newest first."""
    from msgspec import UNSET

    from doorward.cli.output import print_json, print_table, time
    from doorward.http.cursors import parse_page, write_cursor
    from doorward.http.shapes import AuditList, audit_event_json

    wanted = _action(action)
    page = parse_page("audit", limit=min(limit, _PAGE), cursor=cursor if cursor is not None else UNSET)
    with opened(config=config, database=database) as auth:
        earliest = _instant(since, auth)
        # What an account did before it was removed can be asked for by its id.
        whose = find_account(auth, account).id if account is not None and "@" in account else account
        events = _read(auth, page, limit=limit, account=whose, action=wanted, earliest=earliest)
    following = write_cursor("audit", str(events[-1].id)) if len(events) == limit else None
    if as_json:
        print_json(AuditList(events=tuple(map(audit_event_json, events)), next_cursor=following))
        return
    print_table(
        ("when", "what", "account", "session", "by", "from", "detail"),
        [
            (
                time(each.at),
                each.action,
                each.account,
                each.session,
                each.actor.name,
                each.actor.origin.ip,
                ", ".join(f"{name} {value}" for name, value in each.detail.items() if value is not None) or None,
            )
            for each in events
        ],
    )
    if following is not None:
        print(f"There may be more: --cursor {following}")


def _read(
    auth: Doorward,
    page: Page,
    *,
    limit: int,
    account: str | None,
    action: Action | None,
    earliest: datetime | None,
) -> Sequence[AuditEvent]:
    from dataclasses import replace

    from doorward.blocking import run_blocking

    events: list[AuditEvent] = []
    while len(events) < limit:
        page = replace(page, limit=min(limit - len(events), _PAGE))
        found = run_blocking(auth.trail(page, account=account, action=action))
        recent = [each for each in found if earliest is None or each.at is None or each.at >= earliest]
        events += recent
        if len(found) < page.limit or len(recent) < len(found):
            break
        page = replace(page, after=str(found[-1].id))
    return events


def _action(text: str | None) -> Action | None:
    from difflib import get_close_matches

    from doorward.audit.model import Action

    if text is None:
        return None
    try:
        return Action(text)
    except ValueError:
        nearest = get_close_matches(text, list(Action), n=1)
        said = f"Did you mean {nearest[0]}?" if nearest else f"There are: {', '.join(Action)}."
        raise typer.BadParameter(f"{text!r} is no action.  {said}", param_hint="--action") from None


def _instant(text: str | None, auth: Doorward) -> datetime | None:
    """The instant that is meant, by the store's clock, which the trail is written by."""
    from datetime import UTC, datetime, timedelta

    from doorward.blocking import run_blocking

    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return run_blocking(auth.deployment.store.now()) - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time.", param_hint="--since") from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
