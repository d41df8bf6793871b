"""For Django REST framework's ``DEFAULT_AUTHENTICATION_CLASSES``."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from doorward.errors import DoorwardError, NotAuthenticated, Unavailable
from doorward.http.message import seconds_to_wait
from doorward.http.problems import status_of
from doorward.principal import Principal
from doorward.web.django.caller import MiddlewareMissing, look

_CHALLENGE = "Bearer"


class _Refused(APIException):
    """A credential that is not taken, with the status that all of Doorward gives it."""

    def __init__(self, refusal: DoorwardError) -> None:
        super().__init__(detail=refusal.public, code=refusal.code)
        self.status_code = status_of(type(refusal))
        # What the framework makes headers of.
        self.auth_header = _CHALLENGE if self.status_code == 401 else None
        self.wait = seconds_to_wait(refusal.retry_after) if isinstance(refusal, Unavailable) else None


class DoorwardAuthentication(BaseAuthentication):
    """``request.user`` is Django's user of the account, ``request.auth`` the ``Principal``.

    It needs ``DoorwardMiddleware``, which has read the credential and checked a cookie's call for forgery: Django's own
    check is for sessions of Django's.  A credential that is refused is answered, even where nobody is needed.
    """

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, Principal] | None:
        """Who makes the request; None where there is no credential."""
        inner: Any = request._request  # noqa: SLF001 -- Django's, as documented
        caller = look(inner)
        if not caller.passed_middleware:
            raise MiddlewareMissing
        if caller.principal is not None:
            user = inner.user
            return (user, caller.principal) if user.is_authenticated else None
        refusal = caller.refusal
        if refusal is None or isinstance(refusal, NotAuthenticated):
            return None
        raise _Refused(refusal)

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 -- as DRF asks
        """What a 401 is answered with."""
        return _CHALLENGE
