"""Deployments to play with, over memory and over SQLite."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from doorward.audit.model import Action, Actor, AuditEvent, Origin
from doorward.deployment import Deployment
from doorward.doorward import Doorward
from doorward.ports import Page, Store
from doorward.principal import Principal
from doorward.secret import Secret
from doorward.sessions.model import Refreshed, Session, SignedIn
from doorward.stores.sql.sqlite import migrate_sqlite
from doorward.testing import FakeClock, SeededEntropy
from doorward.tokens.access import read_unverified_access_token
from doorward.wire.refresh_token import RefreshToken, parse_refresh_token, write_refresh_token

SECRET = "a secret of the deployment, long enough"
EMAIL = "ada@example.com"
PASSWORD = Secret("seven green kettles whistle at dawn")
OTHER_PASSWORD = Secret("nine blue teapots answer by noon")
HOME = Origin(ip="192.0.2.1", user_agent="Browser/1.0")
ELSEWHERE = Origin(ip="203.0.113.9", user_agent="curl/8")
ACTOR = Actor(name="tester", origin=HOME)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database: copying it is quicker than migrating another."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate_sqlite(str(path))
    return path


@pytest.fixture
def sqlite(template: Path, tmp_path: Path) -> str:
    """The address of a database of one's own."""
    shutil.copy(template, tmp_path / "doorward.db")
    return f"sqlite:///{tmp_path / 'doorward.db'}"


@pytest.fixture(params=["memory", "sqlite"])
def database(request: pytest.FixtureRequest) -> str:
    return "memory:" if request.param == "memory" else str(request.getfixturevalue("sqlite"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@asynccontextmanager
async def opened(database: str, clock: Callable[[], Any], *, seed: int = 0, **options: Any) -> AsyncIterator[Doorward]:
    """A deployment without limits, whose passwords are hashed quickly."""
    options = {"rate_limits": False, "insecure_fast_hashing": True, "secret": SECRET, **options}
    async with Doorward(database, clock=clock, entropy=SeededEntropy(seed), **options) as auth:
        yield auth


@asynccontextmanager
async def opened_with_ada(database: str, clock: Callable[[], Any], **options: Any) -> AsyncIterator[Doorward]:
    async with opened(database, clock, **options) as auth:
        await auth.sign_up(email=EMAIL, password=PASSWORD, actor=ACTOR)
        yield auth


async def sign_in(auth: Doorward, *, origin: Origin = HOME, **fields: Any) -> SignedIn:
    return await auth.sign_in(**{"email": EMAIL, "password": PASSWORD, "origin": origin, **fields})


async def whoever(auth: Doorward, signed_in: SignedIn) -> Principal:
    """Who the credentials of a session speak for, whichever they are."""
    credentials = signed_in.credentials
    bearer = credentials.access_token.text if credentials.access_token is not None else None
    return await auth.authenticate(handle=credentials.handle, bearer=bearer)


async def row_of(auth: Doorward, signed_in: SignedIn) -> Session:
    row = (await auth.deployment.store.session(signed_in.session.key)).session
    assert row is not None
    return row


async def told(auth: Doorward, action: Action | None = None, *, session: str | None = None) -> list[AuditEvent]:
    """The trail, the oldest event first."""
    return [*reversed(await auth.trail(Page(limit=200), action=action, session=session))]


def refresh_token(signed_in: SignedIn) -> Secret:
    assert signed_in.credentials.refresh_token is not None
    return signed_in.credentials.refresh_token


def access_token(signed_in: SignedIn) -> Secret:
    assert signed_in.credentials.access_token is not None
    return signed_in.credentials.access_token.text


def claims_of(text: Secret) -> dict[str, Any]:
    return read_unverified_access_token(text.reveal())[1]


class Meddled:
    """A store at one of whose operations something else happens."""

    def __init__(self, store: Store, **operations: Callable[..., Any]) -> None:
        self._store = store
        self._operations = operations

    def __getattr__(self, name: str) -> Any:
        return self._operations.get(name) or getattr(self._store, name)


def meddled(auth: Doorward, **operations: Callable[..., Any]) -> Deployment:
    """The deployment over a store of which some operations are others."""
    return replace(auth.deployment, store=cast("Store", Meddled(auth.deployment.store, **operations)))


def tampered(text: str) -> Iterator[str]:
    """The same text with one character changed, at several places."""
    for place in range(4, len(text) - 1, 7):
        yield text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


# Presenting


async def present(auth: Doorward, text: Secret, *, key: str | None = None, origin: Origin = HOME) -> Refreshed:
    return await auth.refresh(text, idempotency_key=key, origin=origin)


def next_token(refreshed: Refreshed) -> Secret:
    assert refreshed.credentials.refresh_token is not None
    return refreshed.credentials.refresh_token


def next_access(refreshed: Refreshed) -> Secret:
    assert refreshed.credentials.access_token is not None
    return refreshed.credentials.access_token.text


def token_of(
    auth: Doorward, signed_in: SignedIn, generation: int, *, secret: bytes, client: str = "first-party"
) -> Secret:
    token = RefreshToken(key=signed_in.session.key, generation=generation, secret=secret)
    return write_refresh_token(token, client=client, keyring=auth.deployment.keyring)


def newer_token(auth: Doorward, signed_in: SignedIn, *, generation: int = 4) -> Secret:
    """What the client holds when the store has been put back."""
    keyring = auth.deployment.keyring
    token = parse_refresh_token(refresh_token(signed_in).reveal(), client="first-party", keyring=keyring)
    assert token is not None
    return token_of(auth, signed_in, generation, secret=token.secret)
