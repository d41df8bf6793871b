"""An application's own deployment, for the time of a test: in memory, by a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from doorward.accounts.model import Account, AccountChange
from doorward.accounts.rules import parse_email
from doorward.audit.model import Actor, Origin
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import EmailTaken
from doorward.principal import Carrier
from doorward.secret import Secret
from doorward.stores import open_store
from doorward.testing.clock import FakeClock
from doorward.testing.visitor import Visitor

PASSWORD = "a walrus in seven teapots"  # noqa: S105 -- everybody's, in tests
"""Of the accounts that `login_as` makes."""

_ORIGIN = Origin(ip="127.0.0.1", user_agent="a test")
_STAGED = ("options", "database", "secret_file", "_secret", "_clock", "_ticks", "_store")


@contextmanager
def rehearsal(auth: Doorward, *, clock: FakeClock | None = None) -> Iterator[FakeClock]:
    """Let a deployment keep everything in memory, hash passwords quickly and limit nothing, until the block ends.

    What it is otherwise, strategy, limits of time, roles' scopes, stays.  It opens with the first request, or with the
    application; what it kept is forgotten at the end.

    Args:
        auth: the application's, not open.
        clock: what it goes by; by default one that begins now.
    """
    if auth.is_open:
        raise RuntimeError("rehearse before Doorward is open")
    clock = clock or FakeClock(datetime.now(UTC))
    before = {name: getattr(auth, name) for name in _STAGED}
    staged = {
        "options": replace(auth.options, insecure_fast_hashing=True, rate_limits=False),
        "database": "memory:",
        "secret_file": None,
        "_secret": Secret("the secret of a rehearsal, long enough"),
        "_clock": clock,
        "_ticks": clock.ticks,
        "_store": open_store("memory:", clock=clock, blocking=auth.is_blocking),
    }
    _set(auth, staged)
    try:
        yield clock
    finally:
        _leave(auth)
        _set(auth, before)


def _set(auth: Doorward, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(auth, name, value)


def _leave(auth: Doorward) -> None:
    """Close it, whatever has become of the event loop that it was open in."""
    if not auth.is_open:
        return
    watching, auth._watching = auth._watching, None  # noqa: SLF001 -- what it waits for may be gone with its loop
    if watching is not None:
        watching.cancel()
    # The rest waits for nothing.
    run_blocking(auth.close())


async def login_as(
    auth: Doorward,
    app: Any,
    email: str,
    *,
    roles: Collection[str] | None = None,
    carrier: Carrier | None = None,
    prefix: str = "/auth",
) -> Visitor:
    """Somebody who has signed in, without a page or a password: what tests of other things begin with.

    Args:
        auth: the deployment; it is opened if it is not.
        app: what the visitor's requests go to: an ASGI application, or the address of a server.
        email: of the account, which is made where there is none.
        roles: what the account is from now on; None leaves it as it is.
        carrier: how the session travels, if not by the strategy's default.
        prefix: where Doorward is mounted.
    """
    if not auth.is_blocking:
        _need_event_loop()
    await auth.open()
    account = await _account(auth, email)
    if roles is not None and set(roles) != set(account.roles):
        account = await auth.change_account(account.id, AccountChange(roles=tuple(roles)), actor=Actor(origin=_ORIGIN))
    if carrier is None:
        signed_in = await auth.start_session(account, origin=_ORIGIN, methods=("pwd",))
    else:
        signed_in = await auth.sign_in(email=email, password=Secret(PASSWORD), carrier=carrier, origin=_ORIGIN)
    issuer = auth.options.issuer
    visitor = Visitor(app, base_url=issuer, clock=auth.deployment.clock)
    visitor.account_id, visitor.refresh_path = account.id, f"{prefix}/v1/token"
    https, cookie_prefix = issuer.startswith("https:"), auth.options.cookie_prefix
    visitor.hold(signed_in.credentials, https=https, cookie_prefix=cookie_prefix)
    return visitor


def _need_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "This application is asynchronous: await login_as(...) in an asynchronous test, or, inside"
            " `with TestClient(app) as client:`, call client.portal.call(login_as)."
        ) from None


async def _account(auth: Doorward, email: str) -> Account:
    try:
        return await auth.sign_up(email=email, password=Secret(PASSWORD), actor=Actor(origin=_ORIGIN))
    except EmailTaken:
        account = await auth.deployment.store.account_by_email(parse_email(email).key)
        if account is None:
            raise
        return account
