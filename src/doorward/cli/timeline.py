"""The life of a session in plain words, from its audit events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from doorward.audit.model import Action, AuditEvent, Origin
from doorward.cli.output import span, time
from doorward.sessions.model import EndReason, Sighting
from doorward.sessions.rules import decide_standing

CAUSES: Mapping[EndReason, str] = {
    EndReason.SIGNED_OUT: "its owner signed out",
    EndReason.REUSE: "a refresh token was presented that had been replaced already: somebody else holds a copy",
    EndReason.PASSWORD_CHANGED: "the password of the account was changed elsewhere",
    EndReason.ACCOUNT_DISABLED: "the account was disabled",
    EndReason.SESSION_LIMIT: "the account had more sessions than it may have, and this was the oldest",
    EndReason.ADMIN: "an administrator ended it",
    EndReason.IDLE: "it was not used for longer than session_idle, or session_idle_remembered where it was remembered",
    EndReason.EXPIRED: "it had lived for session_absolute",
    EndReason.KEY_REVOKED: "the key that signed its tokens was revoked",
}

_WHY_RETRIED = {
    "young": "too young to rotate, as when several tabs refresh at once",
    "grace": "its predecessor came again within the grace",
    "attempt": "the same attempt came again",
    "displaced": "a reply that had been taken for lost came through after all",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the timeline."""

    at: datetime | None
    text: str


def timeline(events: Sequence[AuditEvent], *, every: bool = False) -> Iterator[Line]:
    """Tell a session's life.

    Args:
        events: of one session, the oldest first.
        every: tell each rotation; otherwise those that follow one another from one place are one line.
    """
    place: Origin | None = None
    rotations: list[AuditEvent] = []
    for event in events:
        origin = event.actor.origin
        moved = place is not None and _is_known(origin) and origin != place
        if rotations and (moved or event.action is not Action.REFRESH_ROTATED):
            yield from _rotations(rotations)
            rotations = []
        if moved and place is not None:
            yield Line(at=event.at, text=f"From here on from {_from(origin)}; before from {_from(place)}.")
        place = origin if _is_known(origin) else place
        if event.action is Action.REFRESH_ROTATED and not every:
            rotations.append(event)
        else:
            yield Line(at=event.at, text=_WORDS.get(event.action, _other)(event))
    yield from _rotations(rotations)


def conclusion(sighting: Sighting, events: Iterable[AuditEvent]) -> str:
    """Whether the session stands, and if not, since when and why."""
    session, account = sighting.session, sighting.account
    if session is None or account is None:
        ended = [event for event in events if event.action is Action.SESSION_ENDED]
        cause = _cause(ended[-1]) if ended else "the trail does not say why"
        return f"This session is over and its row has been removed: {cause}."
    over = decide_standing(session, account, now=sighting.at)
    if over is None:
        return f"This session stands. Unless it is used it ends at {time(session.leaves_at)}."
    since = session.ended_at or session.leaves_at
    return f"This session has been over since {time(since)}: {CAUSES[over]}."


def _rotations(events: Sequence[AuditEvent]) -> Iterator[Line]:
    if not events:
        return
    first, last = events[0], events[-1]
    if len(events) == 1 or first.at is None or last.at is None:
        yield from (Line(at=event.at, text=_rotated(event)) for event in events)
        return
    generations = f"now generation {last.detail.get('generation')}"
    yield Line(
        at=first.at, text=f"Its refresh token rotated {len(events)} times in {span(last.at - first.at)}; {generations}."
    )


def _started(event: AuditEvent) -> str:
    detail = event.detail
    return (
        f"Started from {_from(event.actor.origin)}, under the strategy {detail.get('strategy')},"
        f" carried by {detail.get('carrier')}."
    )


def _rotated(event: AuditEvent) -> str:
    return f"Its refresh token rotated; now generation {event.detail.get('generation')}."


def _retried(event: AuditEvent) -> str:
    why = _WHY_RETRIED.get(str(event.detail.get("why")), "an honest repetition")
    return f"A refresh token came again and was answered: {why}{_elsewhere(event)}."


def _waited(_: AuditEvent) -> str:
    return "A refresh token came too early to tell a lost reply from a late one; the client was told to wait."


def _recovered(event: AuditEvent) -> str:
    return f"A reply was lost on its way; the client was given a new token{_elsewhere(event)}."


def _healed(_: AuditEvent) -> str:
    return "A token was newer than the store, which has lost writes; the session was brought up to it."


def _ahead(_: AuditEvent) -> str:
    return "A token was newer than the store, which has lost writes; it was refused, and the session left as it was."


def _reused(event: AuditEvent) -> str:
    presented, current = event.detail.get("presented"), event.detail.get("current")
    return (
        f"REUSE: the refresh token of generation {presented} came when {current} was current,"
        f" from {_from(event.actor.origin)}{_elsewhere(event)}."
    )


def _refused(event: AuditEvent) -> str:
    cause = event.detail.get("cause")
    known = cause in {each.value for each in EndReason}
    return f"A refresh token came after the end and was refused: {CAUSES[EndReason(str(cause))] if known else cause}."


def _moved(_: AuditEvent) -> str:
    return "It was given a new handle, since the password was changed in it."


def _password_refused(_: AuditEvent) -> str:
    return "A change of password was refused: the current one was wrong."


def _ended(event: AuditEvent) -> str:
    # Who presents a copied token is not known by name.
    by = f" by {event.actor.name}" if event.actor.name else ""
    return f"Ended{by}: {_cause(event)}."


def _other(event: AuditEvent) -> str:
    return f"{event.action}."


_WORDS: Mapping[Action, Callable[[AuditEvent], str]] = {
    Action.SESSION_STARTED: _started,
    Action.SESSION_MOVED: _moved,
    Action.SESSION_ENDED: _ended,
    Action.REFRESH_ROTATED: _rotated,
    Action.REFRESH_RETRIED: _retried,
    Action.REFRESH_WAITED: _waited,
    Action.REFRESH_RECOVERED: _recovered,
    Action.REFRESH_HEALED: _healed,
    Action.REFRESH_AHEAD: _ahead,
    Action.REFRESH_REUSED: _reused,
    Action.REFRESH_REFUSED: _refused,
    Action.PASSWORD_REFUSED: _password_refused,
}


def _cause(event: AuditEvent) -> str:
    reason = str(event.detail.get("reason"))
    return CAUSES[EndReason(reason)] if reason in {each.value for each in EndReason} else reason


def _is_known(origin: Origin) -> bool:
    """Whether it says anything: the command line and housekeeping come from no address."""
    return origin.ip is not None or origin.user_agent is not None


def _from(origin: Origin) -> str:
    return ", ".join(part for part in (origin.ip, origin.user_agent) if part) or "an unknown place"


def _elsewhere(event: AuditEvent) -> str:
    """Who held the other copy, where that looks like somebody else."""
    if event.detail.get("elsewhere") is not True:
        return ""
    other = Origin(ip=_text(event.detail.get("other_ip")), user_agent=_text(event.detail.get("other_user_agent")))
    return f", while the newer one had gone to {_from(other)}"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
