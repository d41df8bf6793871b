"""Fixtures for tests of an application that uses Doorward; pytest finds them by itself.

``login_as``, ``doorward_clock`` and ``doorward_client`` work once the application says what it is, by two fixtures of
its own: ``doorward_app`` and ``doorward_auth`` (docs/guides/testing-your-application.md).
"""

# Loaded in every run of pytest where Doorward is installed: it imports nothing that is not used.

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from doorward.doorward import Doorward
    from doorward.principal import Carrier
    from doorward.testing.clock import FakeClock
    from doorward.testing.visitor import UnreliableClient, Visitor


class LoginAs(Protocol):
    """What the fixture ``login_as`` is: ``ada = await login_as("ada@example.com", roles={"analyst"})``.

    Where the application is synchronous, ``run_blocking(login_as(...))``.
    """

    async def __call__(
        self,
        email: str = "ada@example.com",
        *,
        roles: Collection[str] | None = None,
        carrier: Carrier | None = None,
    ) -> Visitor: ...


@pytest.fixture
def doorward_app() -> Any:
    """The application: override it."""
    pytest.fail("Define a fixture doorward_app in conftest.py that returns your ASGI application.")


@pytest.fixture
def doorward_auth() -> Doorward:
    """The application's Doorward: override it."""
    pytest.fail("Define a fixture doorward_auth in conftest.py that returns the Doorward of your application.")


@pytest.fixture
def doorward_prefix() -> str:
    """Where the application mounts Doorward: override it unless that is ``/auth``."""
    return "/auth"


@pytest.fixture
def doorward_clock(doorward_auth: Doorward) -> Iterator[FakeClock]:
    """The clock that the application's Doorward goes by; for the time of the test it keeps everything in memory."""
    from doorward.testing.stage import rehearsal

    with rehearsal(doorward_auth) as clock:
        yield clock


@pytest.fixture
def doorward_client(doorward_app: Any, doorward_auth: Doorward, doorward_clock: FakeClock) -> UnreliableClient:
    """Somebody who has not signed in."""
    from doorward.testing.visitor import UnreliableClient

    return UnreliableClient(doorward_app, base_url=doorward_auth.options.issuer, clock=doorward_clock)


@pytest.fixture
def login_as(
    doorward_app: Any,
    doorward_auth: Doorward,
    doorward_prefix: str,
    doorward_clock: FakeClock,  # noqa: ARG001 -- for the time of the test everything is kept in memory
) -> LoginAs:
    """Makes somebody who has signed in."""
    from doorward.testing.stage import login_as as login_to

    async def login(
        email: str = "ada@example.com", *, roles: Collection[str] | None = None, carrier: Carrier | None = None
    ) -> Visitor:
        return await login_to(doorward_auth, doorward_app, email, roles=roles, carrier=carrier, prefix=doorward_prefix)

    return login
