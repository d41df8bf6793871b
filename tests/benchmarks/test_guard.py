"""What a remembered credential is recognised by, call by call: a call more on the hot path does not go unnoticed.

Nothing here is a time.  Where a change means to call something else, put what it calls into the list; where it calls
more, `python3 dev.py bench verify` says what that costs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from doorward.audit.model import Actor, Origin
from doorward.doorward import Doorward
from doorward.secret import Secret
from doorward.verifier import Verifier
from tests.verifier.issuer import AUDIENCE, CREDENTIAL, an_issuer

VERIFYING_A_TOKEN = ("Verifier.verify", "time", "dict.get", "dict.get")
CHECKING_A_COOKIE = (
    "Doorward.authenticate",
    "Doorward.deployment",
    "authenticate",
    "authenticate_handle",
    "Secret.reveal",
    "recognise_handle",
    "dict.get",
    "boot_seconds",
    "clock_gettime",
    "dict.get",
    "time",
    "Deployment.is_fresh_at",
    "Freshness.is_fresh",
    "timedelta.total_seconds",
    "Doorward._open.<locals>.<lambda>",
)
WHO_AM_I = (
    "Doorward.current",
    "Doorward.deployment",
    "current_session",
    "SqlStore.session_by_id",
    "SqliteRunner.look_up",
    "SqliteFile.refuse_if_lost",
    "LookById.__call__",
    "Connection.connection",
    "Connection.execute",
    "Cursor.fetchall",
    "standing",
    "decide_standing",
)
"""Without what makes values of columns, and without what Python's versions call differently."""

_COUNTED = ("Doorward.", "SqlStore.", "Sqlite", "Look", "Connection.", "Cursor.", "Engine.", "Worker.")


def calls_of(operation: Callable[[], object]) -> list[str]:
    """The functions that it calls, in Python and in C, in their order; the same under every version of Python."""
    called: list[str] = []

    def note(frame: FrameType, event: str, function: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)
        elif event == "c_call":
            called.append(function.__qualname__)

    # Of this thread alone: a verifier reads the feed in another one.
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        operation()
    finally:
        sys.setprofile(before)
    # Without the first, which is the operation itself, and the last, which ends this.
    return called[1:-1]


def see_that_nothing_has_been_added(called: Sequence[str], pinned: Sequence[str]) -> None:
    assert list(called) == list(pinned), (
        f"The hot path calls other functions than it did: {len(called)}, and {len(pinned)} before. "
        f"If that is meant, update the list in {Path(__file__).name}; "
        f"`python3 dev.py bench verify` says what it costs. Now it calls:\n{json.dumps(list(called), indent=4)}"
    )


def test_a_token_that_was_seen_before_is_verified_by_these_calls_and_no_other() -> None:
    with (
        an_issuer() as issuer,
        Verifier(issuer=issuer.address, audience=AUDIENCE, credential=CREDENTIAL, insecure_http=True) as verifier,
    ):
        token = issuer.a_token()
        verifier.verify(token, revocation="immediate")
        called = calls_of(lambda: verifier.verify(token))
    see_that_nothing_has_been_added(called, VERIFYING_A_TOKEN)


@asynccontextmanager
async def signed_in(folder: Path) -> AsyncIterator[tuple[Doorward, Secret]]:
    """A deployment on SQLite, and the cookie of a session that it remembers."""
    options: Any = {"strategy": "session", "insecure_fast_hashing": True, "rate_limits": False}
    async with Doorward(
        f"sqlite:///{folder / 'guard.db'}", secret="the secret of a deployment in tests", **options
    ) as auth:
        password = Secret("seven green kettles whistle at dawn")
        await auth.sign_up(email="ada@example.com", password=password, actor=Actor())
        started = await auth.sign_in(email="ada@example.com", password=password, origin=Origin())
        handle = started.credentials.handle
        assert handle is not None
        assert await auth.authenticate(handle=handle)
        yield auth, handle


def run_at_once(operation: Coroutine[Any, Any, object]) -> None:
    """Run an operation that waits for nothing.  By hand: the calls of an event loop would be counted too."""
    for _ in operation.__await__():
        pytest.fail("it waits for something")


@pytest.mark.anyio
async def test_a_session_cookie_that_was_seen_before_is_checked_by_these_calls_and_no_other(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (auth, handle):
        called = calls_of(lambda: run_at_once(auth.authenticate(handle=handle)))
    # Without the function that runs it.
    see_that_nothing_has_been_added(called[1:], CHECKING_A_COOKIE)


@pytest.mark.anyio
async def test_who_am_i_is_one_statement_in_the_event_loop(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (auth, handle):
        principal = await auth.authenticate(handle=handle)
        await auth.current(principal)
        called = calls_of(lambda: run_at_once(auth.current(principal)))
    counted = {*WHO_AM_I, *(each for each in called if each.startswith(_COUNTED))}
    see_that_nothing_has_been_added([each for each in called if each in counted], WHO_AM_I)


def test_a_call_more_is_noticed_and_told() -> None:
    def more() -> None:
        calls_of.__name__.upper()
        see_that_nothing_has_been_added([], [])

    called = calls_of(more)
    assert called[:2] == ["str.upper", "see_that_nothing_has_been_added"]
    with pytest.raises(AssertionError, match="bench verify"):
        see_that_nothing_has_been_added(called, called[1:])
