"""For ``AUTHENTICATION_BACKENDS``."""

from __future__ import annotations

import logging
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest

from doorward.accounts.model import Account
from doorward.accounts.rules import parse_email
from doorward.audit.model import Origin
from doorward.errors import EmailTaken, InvalidCredentials, NotFound, RateLimited, ValidationFailed
from doorward.http.proxies import watch
from doorward.secret import Secret
from doorward.web.django.conf import run
from doorward.web.django.linking import has_password, open_account
from doorward.web.django.messages import request_of
from doorward.web.django.models import LinkedAccount
from doorward.web.django.signing_in import PROVED
from doorward.web.django.standing import ACTOR
from doorward.web.django.users import user_of_account

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
OLD_SESSIONS = "doorward.web.django.backends.DjangoSessionsBackend"

_log = logging.getLogger(__name__)


class DoorwardBackend(ModelBackend):
    """Passwords by Doorward; permissions and groups by Django's tables, as they are.

    ``authenticate`` proves an e-mail address, or the name of a user, and a password, counted and recorded as signing in
    is, and starts nothing: ``login`` starts the session.  A user of Django's with a password and without an account,
    such as ``createsuperuser`` makes, gets an account with that password.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **fields: Any
    ) -> AbstractBaseUser | None:
        """The user, or None where name and password do not go together or there were too many attempts."""
        model: Any = get_user_model()
        name = username
        for field in (model.USERNAME_FIELD, "email"):
            name = name if name is not None else fields.get(field)
        if name is None or password is None:
            return None
        origin = _origin_of(request) if request is not None else Origin()
        email, secret = _email_of(name), Secret(password)
        try:
            try:
                account = run(lambda auth: auth.prove_password(email=email, password=secret, origin=origin))
            except InvalidCredentials:
                # Counted as an attempt; a second one is made for a password that is right in Django's table alone.
                if not _takes_over(email, password):
                    return None
                account = run(lambda auth: auth.prove_password(email=email, password=secret, origin=origin))
        except (InvalidCredentials, RateLimited):
            return None
        user = user_of_account(account)
        if user is None or not self.user_can_authenticate(user):
            return None
        setattr(user, PROVED, account)
        return user

    async def aauthenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **fields: Any
    ) -> AbstractBaseUser | None:
        """As ``authenticate``.  Django's own would compare with the password in Django's table."""
        return await sync_to_async(self.authenticate)(request, username, password, **fields)

    def get_user(self, user_id: Any) -> None:  # noqa: ARG002 -- as Django asks
        """Nobody: what Django's session remembers of a sign-in of ours proves nothing, the middleware alone does."""
        return

    async def aget_user(self, user_id: Any) -> None:
        """As ``get_user``."""
        return self.get_user(user_id)


class DjangoSessionsBackend(ModelBackend):
    """Keeps alive the sessions that Django's ``ModelBackend`` began, and authenticates nobody.

    For moving in: whoever was signed in stays so until Django's session expires.  Nobody does whose user is inactive,
    or whose account has been disabled, has another password or other roles than when it was opened.
    """

    def authenticate(self, *_: Any, **__: Any) -> None:
        """Nobody: passwords are Doorward's."""
        return

    async def aauthenticate(self, *_: Any, **__: Any) -> None:
        """Nobody."""
        return

    def get_user(self, user_id: Any) -> Any:
        """The user, if everything is as it was when the session began."""
        user = super().get_user(user_id)
        return user if user is not None and _is_unchanged(user) else None

    async def aget_user(self, user_id: Any) -> Any:
        """As ``get_user``."""
        return await sync_to_async(self.get_user)(user_id)


def take_over_session(request: HttpRequest) -> None:
    """Hand a session of ``ModelBackend`` over to ``DjangoSessionsBackend``, where a project lists that one instead."""
    session = getattr(request, "session", None)
    listed = settings.AUTHENTICATION_BACKENDS
    if session is None or OLD_SESSIONS not in listed or MODEL_BACKEND in listed:
        return
    if session.get(BACKEND_SESSION_KEY) == MODEL_BACKEND:
        session[BACKEND_SESSION_KEY] = OLD_SESSIONS


def _is_unchanged(user: AbstractBaseUser) -> bool:
    link = LinkedAccount.objects.filter(user=user).first()
    if link is None:
        return True
    try:
        account = run(lambda auth: auth.account(link.account))
    except NotFound:
        return False
    return account.disabled_at is None and account.version == 0


def _email_of(name: str) -> str:
    """The address of the account that somebody signs in to by a name: an address, or what Django calls a user."""
    if "@" in name and _has_account(name):
        return name
    model: Any = get_user_model()
    try:
        user = model._default_manager.get_by_natural_key(name)  # noqa: SLF001 -- Django's name for it
    except model.DoesNotExist:
        return name
    link = LinkedAccount.objects.filter(user=user).first() or _opened(user)
    if link is None:
        return name
    try:
        return run(lambda auth: auth.account(link.account)).email
    except NotFound:
        return name


def _has_account(email: str) -> bool:
    return _account_of(email) is not None


def _account_of(email: str) -> Account | None:
    try:
        key = parse_email(email).key
    except ValidationFailed:
        return None
    return run(lambda auth: auth.deployment.store.account_by_email(key))


def _takes_over(email: str, password: str) -> bool:
    """Give an account that has no password the one that its user has in Django, where that is what was typed.

    So users go on whose passwords are hashed in a way that Doorward does not check.
    """
    account = _account_of(email)
    if account is None or account.password_hash is not None or account.disabled_at is not None:
        return False
    link = LinkedAccount.objects.select_related("user").filter(account=account.id).first()
    user = link.user if link is not None else None
    if user is None or not user.is_active or not has_password(user) or not user.check_password(password):
        return False
    run(lambda auth: auth.set_password(account.id, Secret(password), actor=ACTOR))
    return True


def _opened(user: Any) -> LinkedAccount | None:
    """An account for a user that can sign in by Django's password and has none."""
    if not has_password(user) or not user.is_active:
        return None
    try:
        return open_account(user, needs_password=False)
    except (EmailTaken, ValidationFailed) as error:
        _log.warning("user %s cannot sign in, and has no account: %s", user.pk, error.detail or error.public)
        return None


def _origin_of(request: HttpRequest) -> Origin:
    here = request_of(request)
    watch.notice(here)
    return here.origin
