"""For ``AUTHENTICATION_BACKENDS``."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest

from doorward.audit.model import Origin
from doorward.errors import InvalidCredentials, RateLimited
from doorward.http.proxies import watch
from doorward.secret import Secret
from doorward.web.django.conf import run
from doorward.web.django.messages import request_of
from doorward.web.django.signing_in import PROVED
from doorward.web.django.users import user_of_account


class DoorwardBackend(ModelBackend):
    """Passwords by Doorward; permissions and groups by Django's tables, as they are.

    ``authenticate`` proves an e-mail address and a password, counted and recorded as signing in is, and starts nothing:
    ``login`` starts the session.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **fields: Any
    ) -> AbstractBaseUser | None:
        """The user, or None where e-mail and password do not go together or there were too many attempts."""
        email = username if username is not None else fields.get("email")
        if email is None or password is None:
            return None
        origin = _origin_of(request) if request is not None else Origin()
        try:
            account = run(lambda auth: auth.prove_password(email=email, password=Secret(password), origin=origin))
        except (InvalidCredentials, RateLimited):
            return None
        user = user_of_account(account)
        if user is None or not self.user_can_authenticate(user):
            return None
        setattr(user, PROVED, account)
        return user

    def get_user(self, user_id: Any) -> None:  # noqa: ARG002 -- as Django asks
        """Nobody: what Django's session remembers of a sign-in of ours proves nothing, the middleware alone does."""
        return

    async def aget_user(self, user_id: Any) -> None:
        """As ``get_user``."""
        return self.get_user(user_id)


def _origin_of(request: HttpRequest) -> Origin:
    here = request_of(request)
    watch.notice(here)
    return here.origin
