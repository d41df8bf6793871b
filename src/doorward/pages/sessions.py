"""Your sessions: which devices are signed in, and ending what is not yours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from doorward.errors import NotFound
from doorward.http import sessions as api_sessions
from doorward.http.message import Response, write_time
from doorward.http.operation import Call
from doorward.http.shapes import KeepQuery, account_json
from doorward.pages.devices import read_device
from doorward.pages.languages import Language
from doorward.pages.visit import Visit
from doorward.pages.who import authenticate, forget
from doorward.sessions.model import Session

_SHOWN_AT_ONCE = 8
"""How many sessions are in sight; the rest can be unfolded."""
NOTICES = frozenset({"session_ended", "others_ended", "password_changed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSession:
    """A session as its owner sees it.

    Args:
        id: public.
        device: what to call it.
        agent: what the device is, where its owner calls it otherwise.
        place: where it was started, or None.
        seen_ago: when it was last used, in words.
        seen_at: the same as RFC 3339.
        started_at: likewise.
        started_on: the day, by ISO 8601.
        is_current: whether it is the one that asks.
    """

    id: str
    device: str
    agent: str | None
    place: str | None
    seen_ago: str
    seen_at: str
    started_at: str
    started_on: str
    is_current: bool


async def show_sessions(visit: Visit) -> Response:
    principal = await authenticate(visit)
    auth, t = visit.auth, visit.language
    account, now = await auth.account(principal.subject), auth.deployment.clock()
    shown = [
        _shown(
            session,
            t,
            # Where no place is known, the address may still be.
            place=auth.places.name_of(session.origin.ip, language=t.code) or session.origin.ip,
            current=principal.session_id,
            now=now,
        )
        for session in await auth.sessions(account.id)
    ]
    notice = visit.query.get("notice")
    return visit.show(
        "sessions.html",
        session_id=principal.session_id,
        account=account_json(account),
        # The one that asks first; the others as they come, the newest first.
        sessions=sorted(shown, key=lambda each: not each.is_current),
        most=_SHOWN_AT_ONCE,
        notice=notice if notice in NOTICES else None,
    )


def _shown(session: Session, t: Language, *, place: str | None, current: str, now: datetime) -> ShownSession:
    agent = _agent(session.origin.user_agent, t)
    return ShownSession(
        id=session.id,
        device=session.label or agent,
        agent=agent if session.label else None,
        place=place,
        seen_ago=t.ago(max(now - session.last_seen_at, timedelta(0))),
        seen_at=write_time(session.last_seen_at),
        started_at=write_time(session.created_at),
        started_on=session.created_at.date().isoformat(),
        is_current=session.id == current,
    )


def _agent(user_agent: str | None, t: Language) -> str:
    device = read_device(user_agent)
    if device.browser and device.system:
        return t("browser_on_system", browser=device.browser, system=device.system)
    return device.browser or device.system or t("unknown_device")


async def end_session(visit: Visit) -> Response:
    principal = await authenticate(visit)
    call = Call(
        request=visit.request, caller=principal, body=None, query=None, path={"id": visit.form.get("session", "")}
    )
    try:
        answer = await api_sessions.end_session(visit.auth, call)
    except NotFound:
        # It has ended meanwhile: what was asked for is so.
        return visit.redirect(visit.link("sessions"))
    visit.keep_cookies_of(answer)
    if call.path["id"] == principal.session_id:
        forget(visit)
        visit.clear_pages_in_memory()
        return visit.redirect(visit.link("sign-in", notice="signed_out"))
    return visit.redirect(visit.link("sessions", notice="session_ended"))


async def end_other_sessions(visit: Visit) -> Response:
    principal = await authenticate(visit)
    query = KeepQuery(keep="current")
    call = Call(request=visit.request, caller=principal, body=None, query=query, path={})
    visit.keep_cookies_of(await api_sessions.end_sessions(visit.auth, call))
    return visit.redirect(visit.link("sessions", notice="others_ended"))
