"""Doorward in a Flask application; ``examples/flask_app.py`` is one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, Unpack, cast
from urllib.parse import urlsplit

from flask import Flask, Response, after_this_request, current_app, redirect, request, url_for
from werkzeug.local import LocalProxy
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as AnyResponse

from doorward import doorward
from doorward.accounts.hook import SignUpHook
from doorward.assurance import Demand, Demands
from doorward.blocking import run_blocking
from doorward.errors import ConfigurationError, DoorwardError, NotAuthenticated
from doorward.http.message import Header
from doorward.http.problems import problem_of, status_of
from doorward.http.server_rendered import NO_HANDLE, sign_in_by_form, sign_out_by_form
from doorward.http.vary import merge_vary
from doorward.option_values import NAMES, read_values, unknown_name
from doorward.options import OptionFields
from doorward.principal import Principal
from doorward.secret import Secret
from doorward.service_variables import is_service_variable
from doorward.sessions.model import SignedIn
from doorward.web.configured import configured
from doorward.web.flask_refusals import answered
from doorward.web.wsgi import Mounted, identify, open_here, request_of

__all__ = ["Doorward", "current_principal", "doorward_of", "login_required", "next_page", "requires"]

T = TypeVar("T")
View = TypeVar("View", bound=Callable[..., Any])

_EXTENSION = "doorward"
_PREFIX = "DOORWARD_"
_KNOWN = "doorward.flask"
_OWN = ("prefix", "sign_in_view")


class Doorward:
    """The extension: one for an application factory, and a deployment of its own for each app that it is given to.

    ``auth = Doorward("sqlite:///app.db", strategy="session")``, then ``auth.init_app(app)``.  What ``app.config`` says
    (``DOORWARD_DATABASE``, ``DOORWARD_STRATEGY`` and so on, by the names of the options) beats what is said here.

    Args:
        database: as for ``doorward.Doorward``.
        prefix: below which the routes of the HTTP contract are mounted.
        sign_in_view: the endpoint of a page to sign in on, to which browsers are sent that ask for a page and may not
            have it; None answers everybody with 401.
        secret: as for ``doorward.Doorward``.
        on_sign_up: as for ``doorward.Doorward``.
        options: the fields of ``Options``.

    Raises:
        ConfigurationError: an option is unknown or has the wrong type; contradictions are found by ``init_app``.
    """

    def __init__(
        self,
        database: str = "sqlite:///doorward.db",
        *,
        prefix: str = "/auth",
        sign_in_view: str | None = None,
        secret: Secret | str | Sequence[Secret] | None = None,
        on_sign_up: SignUpHook | None = None,
        **options: Unpack[OptionFields],
    ) -> None:
        given = {"database": database, "prefix": prefix, "sign_in_view": sign_in_view, "secret": secret, **options}
        given["on_sign_up"] = on_sign_up
        unknown = [unknown_name(name, (*_OWN, *NAMES)) for name in options if name not in NAMES]
        self._given, unreadable = read_values({name: value for name, value in given.items() if value is not None})
        if unknown or unreadable:
            raise ConfigurationError([*unknown, *unreadable])

    def init_app(self, app: Flask) -> None:
        """Mount the routes, answer errors, and read the app's settings; opens with the first request.

        Raises:
            ConfigurationError: the settings cannot be used.
        """
        said = {
            name.removeprefix(_PREFIX).lower(): value
            for name, value in app.config.items()
            if name.startswith(_PREFIX) and not is_service_variable(name.removeprefix(_PREFIX), value)
        }
        values = self._given | said
        if values.get("sign_in_view") is not None and values.get("strategy") != "session":
            raise ConfigurationError([NO_HANDLE])
        auth = configured(values, spelt=lambda name: _PREFIX + name.upper(), known=(*_OWN, *NAMES))
        app.extensions[_EXTENSION] = _Extension(auth=auth, sign_in_view=values.get("sign_in_view"))
        _mount(app, auth, values["prefix"])
        app.register_error_handler(DoorwardError, _answer)
        app.after_request(_vary)

    def run(self, operation: Callable[[doorward.Doorward], Coroutine[Any, Any, T]]) -> T:
        """Run one operation on the deployment of the current app.

        ``auth.run(lambda doorward: doorward.sessions(account))``
        """
        auth = doorward_of(current_app)
        open_here(auth)
        return run_blocking(operation(auth))

    def sign_in(
        self, *, email: str, password: Secret | str, label: str | None = None, remember: bool = False
    ) -> SignedIn:
        """Start a session for whoever filled in a form; its cookie goes with the answer to this request.

        Args:
            email: as it was typed.
            password: as it was typed.
            label: what its owner calls the session.
            remember: whether its owner asked to stay signed in when the browser closes.

        Raises:
            InvalidCredentials: e-mail and password do not go together.
            DoorwardError: as ``doorward.Doorward.sign_in``; CsrfFailed where a foreign page may have sent the form.
        """
        secret = password if isinstance(password, Secret) else Secret(password)
        here = request_of(request.environ)
        signed_in, headers = self.run(
            lambda auth: sign_in_by_form(auth, here, email=email, password=secret, label=label, remember=remember)
        )
        _send_along(headers)
        principal = self.run(lambda auth: auth.authenticate(handle=signed_in.credentials.handle))
        request.environ[_KNOWN] = (doorward_of(current_app), principal, None)
        return signed_in

    def sign_out(self) -> None:
        """End the session of this request; the answer makes the browser forget it.

        Raises:
            CsrfFailed: a foreign page may have asked for it.
        """
        here = request_of(request.environ)
        _, headers = self.run(lambda auth: sign_out_by_form(auth, here))
        _send_along(headers)
        request.environ[_KNOWN] = (doorward_of(current_app), None, NotAuthenticated())


def _mount(app: Flask, auth: doorward.Doorward, prefix: str) -> None:
    """Answer below the prefix, with the client's address that ProxyFix finds, whichever of the two came first."""
    before = app.wsgi_app
    while isinstance(before, ProxyFix) and isinstance(before.app, ProxyFix):
        before = before.app
    if isinstance(before, ProxyFix):
        before.app = Mounted(before.app, auth, prefix)
    else:
        app.wsgi_app = Mounted(app.wsgi_app, auth, prefix)  # type: ignore[method-assign]  # as Flask says


def doorward_of(app: Flask) -> doorward.Doorward:
    """The deployment of an app.

    Raises:
        RuntimeError: it has none.
    """
    return _extension_of(app).auth


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extension:
    """What an app has of us."""

    auth: doorward.Doorward
    sign_in_view: str | None


def _extension_of(app: Flask) -> _Extension:
    extension: _Extension | None = app.extensions.get(_EXTENSION)
    if extension is None:
        raise RuntimeError("This app has no Doorward: call init_app(app) where it is made.")
    return extension


def _identified() -> tuple[doorward.Doorward, Principal | None, DoorwardError | None]:
    """By which deployment who makes the request, or why nobody does; asked once a request."""
    auth, environ = doorward_of(current_app), request.environ
    known: tuple[doorward.Doorward, Principal | None, DoorwardError | None] | None = environ.get(_KNOWN)
    if known is None or known[0] is not auth:
        known = environ[_KNOWN] = (auth, *identify(auth, environ))
    return known


current_principal = cast("Principal", LocalProxy(lambda: _identified()[1]))
"""The ``Principal`` of the current request; false where nobody makes it, or nobody any more."""


def login_required(view: View) -> View:
    """Let a view be called only where somebody is signed in; 401 otherwise."""
    return requires()(view)


def requires(
    *needs: str,
    roles: Collection[str] = (),
    scopes: Collection[str] = (),
    fresh: timedelta | None = None,
    revocation: Demand = "policy",
) -> Callable[[View], View]:
    """Let a view be called only by who gives what is demanded; 401, 403 or 503 otherwise.

    Args:
        needs: roles and scopes in short: ``requires("role:admin", "scope:reports:read")``.
        roles: all of which are needed.
        scopes: likewise.
        fresh: how long ago the subject may have proved itself at most: 401 with what to do (RFC 9470) otherwise.
        revocation: ``immediate`` where the view must not act on stale knowledge of who has signed out.
    """
    demands = Demands(
        roles={*roles, *_named(needs, "role:")},
        scopes={*scopes, *_named(needs, "scope:")},
        fresh=fresh,
        revocation=revocation,
    )
    if any(not need.startswith(("role:", "scope:")) for need in needs):
        raise ValueError('say "role:admin" or "scope:reports:read"')

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            auth, principal, refusal = _identified()
            try:
                if principal is None:
                    raise refusal or NotAuthenticated()
                assured = run_blocking(auth.assure(principal, demands))
            except DoorwardError as refused:
                raise answered(refused, _answer) from refused
            if assured is not principal:
                request.environ[_KNOWN] = (auth, assured, None)
            return current_app.ensure_sync(view)(*args, **kwargs)

        return cast("View", guarded)

    return decorate


def _named(needs: Sequence[str], kind: str) -> list[str]:
    return [need.removeprefix(kind) for need in needs if need.startswith(kind)]


def next_page(default: str | None = None) -> str:
    """Where to go after signing in: what ``next`` in the address says, if that is a page of this site.

    Args:
        default: where to go otherwise; None for the app's own first page, below the prefix that a proxy removes.
    """
    asked = request.args.get("next", "")
    if _is_own_page(asked):
        return asked
    return default or f"{request.script_root}/" if _is_prefix_harmless() else "/"


def _is_prefix_harmless() -> bool:
    """Whether what ``url_for`` makes leads to no other site.

    It begins with ``SCRIPT_NAME``, which a client can write where no proxy overwrites ``X-Forwarded-Prefix``.
    """
    return not request.script_root or _is_own_page(request.script_root)


def _is_own_page(address: str) -> bool:
    """Whether this is a path, which leads to no other site."""
    # Browsers take a backslash for a slash, and drop tabs and line breaks: //evil.example has many spellings.
    harmless = address.startswith("/") and not address.startswith("//") and "\\" not in address
    return harmless and address.isprintable() and not urlsplit(address).netloc


def _send_along(headers: Sequence[Header]) -> None:
    @after_this_request
    def send(response: Response) -> Response:
        for name, value in headers:
            response.headers.add(name, value)
        # A page that was answered together with a cookie is nobody else's.
        response.headers["Cache-Control"] = "no-store"
        return response


def _vary(response: Response) -> Response:
    """An answer that depends on who asks says so."""
    if _KNOWN in request.environ:
        response.headers["Vary"] = merge_vary(response.headers.getlist("Vary"))
    return response


def _answer(error: DoorwardError) -> AnyResponse:
    sign_in_view = _extension_of(current_app).sign_in_view
    if sign_in_view is not None and status_of(type(error)) == 401 and _wants_a_page() and _is_prefix_harmless():
        here = request.script_root + request.full_path.removesuffix("?")
        return redirect(url_for(sign_in_view, next=here), 303)
    answer = problem_of(error, request_of(request.environ))
    return Response(answer.body, answer.status, list(answer.headers))


def _wants_a_page() -> bool:
    if request.method not in {"GET", "HEAD"} or "Authorization" in request.headers:
        return False
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
