"""``force_login`` and ``login`` of Django's test client.

The client signs in with a bare request, keeps Django's session cookie of it, and no other.  So the credential of the
session that starts is kept in this process, and Django's session names it.  It is looked up for requests of the test
client alone, which are marked in a way that no request from outside can be.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from django.http import HttpRequest

from doorward.blocking import run_blocking
from doorward.errors import DoorwardError
from doorward.principal import Principal
from doorward.sessions.model import SignedIn
from doorward.web.django.conf import deployment

_MARK = "_dont_enforce_csrf_checks"
_NAME = "_doorward_session"
_MOST = 1000
_signed_in: OrderedDict[str, SignedIn] = OrderedDict()


def is_bare(request: HttpRequest) -> bool:
    """Whether no server has made this request: the test client signs in and out with one."""
    return type(request) is HttpRequest and request.method is None


def is_from_test_client(request: HttpRequest) -> bool:
    """Whether Django's test client sends this request.  It sets an attribute; what comes from outside sets headers."""
    return hasattr(request, _MARK)


def skips_forgery_checks(request: HttpRequest) -> bool:
    """Whether Django skips its own check for forgery: its test client asks for that unless told otherwise."""
    return bool(getattr(request, _MARK, False))


def remember(request: HttpRequest, signed_in: SignedIn) -> None:
    """Keep the credential of a session that a test client has started."""
    session: Any = request.session
    session[_NAME] = signed_in.session.id
    _signed_in[signed_in.session.id] = signed_in
    while len(_signed_in) > _MOST:
        _signed_in.popitem(last=False)


def session_of(request: HttpRequest) -> SignedIn | None:
    """What the test client that sends a request has started, or None."""
    session: Any = getattr(request, "session", None)
    if session is None or not _signed_in:
        return None
    accessed = session.accessed
    found = _signed_in.get(session.get(_NAME, ""))
    # By this Django decides whether the answer varies by cookie, and nobody has looked yet.
    session.accessed = accessed
    return found


def principal_of(request: HttpRequest) -> Principal | None:
    """Who has signed in by ``force_login`` or ``login`` of the test client that sends a request."""
    signed_in = session_of(request) if is_from_test_client(request) else None
    if signed_in is None:
        return None
    credentials = signed_in.credentials
    bearer = credentials.access_token.text if credentials.access_token is not None else None
    try:
        return run_blocking(deployment().authenticate(handle=credentials.handle, bearer=bearer))
    except DoorwardError:
        return None
