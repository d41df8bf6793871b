"""Passwords that are set in Django: by ``PasswordChangeView``, in the admin, by ``set_password`` and ``save``."""

from __future__ import annotations

import logging

from doorward.audit.model import Actor
from doorward.errors import NotFound
from doorward.http.cookies import keep as keep_cookie
from doorward.secret import Secret
from doorward.web.django import standing
from doorward.web.django.caller import caller_of
from doorward.web.django.conf import deployment, run
from doorward.web.django.messages import request_of
from doorward.web.django.signing_in import current
from doorward.wire.cookies import SESSION_COOKIE

_log = logging.getLogger(__name__)


def take_password(account: str, password: Secret) -> None:
    """Make what was set in Django the password of the account.

    The session of the request that is being answered goes on if it is of this account, all others end.
    """
    standing.unlocked(lambda: _take(account, password))


def _take(account: str, password: Secret) -> None:
    request = current.get()
    caller = caller_of(request) if request is not None else None
    principal = caller.principal if caller is not None else None
    own = principal.session_id if principal is not None and principal.subject == account else None
    origin = request_of(request).origin if request is not None else Actor().origin
    actor = Actor(name=principal.subject if principal is not None else standing.ACTOR.name, origin=origin)
    try:
        handle = run(lambda auth: auth.set_password(account, password, keep=own, actor=actor))
    except NotFound:
        _log.warning("a user's password was set, and its account %s does not exist", account)
        return
    if handle is not None and request is not None and caller is not None and own is not None:
        session = run(lambda auth: auth.deployment.store.session_by_id(own)).session
        if session is not None:
            cookie = keep_cookie(deployment(), request_of(request), SESSION_COOKIE, handle, session)
            caller.headers, caller.headers_until_closed = [cookie], []
