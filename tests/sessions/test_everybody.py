"""Ending the sessions of all accounts, while servers serve."""

from __future__ import annotations

import pytest

from doorward.audit.model import Action
from doorward.errors import DoorwardError, InvalidGrant
from doorward.sessions.model import EndReason
from doorward.testing import FakeClock
from tests.sessions.deployments import (
    ACTOR,
    access_token,
    opened,
    opened_with_ada,
    present,
    refresh_token,
    row_of,
    sign_in,
    told,
    whoever,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("strategy", ["session", "jwt", "hybrid"])
async def test_everybodys_sessions_end_here_and_at_other_servers(sqlite: str, clock: FakeClock, strategy: str) -> None:
    async with (
        opened_with_ada(sqlite, clock, strategy=strategy) as here,
        opened(sqlite, clock, strategy=strategy, seed=1) as there,
    ):
        signed_in = [await sign_in(here), await sign_in(here)]
        await there.read_changes()
        for auth in (here, there):
            for each in signed_in:
                # Also from memory.
                assert await whoever(auth, each) == await whoever(auth, each)
        assert await here.end_everybody(actor=ACTOR) == 2
        await there.read_changes()
        for auth in (here, there):
            for each in signed_in:
                with pytest.raises(DoorwardError):
                    await whoever(auth, each)
        assert (await row_of(here, signed_in[0])).ended_reason is EndReason.ADMIN
        event = (await told(here, Action.SESSIONS_ENDED))[0]
        assert (event.actor, event.detail["sessions"]) == (ACTOR, 2)
        # Who signs in again is as good as ever, at both.
        again = await sign_in(there)
        await here.read_changes()
        assert await whoever(here, again) == await whoever(there, again)


async def test_an_access_token_of_a_session_that_a_backup_does_not_know_is_refused(
    database: str, clock: FakeClock
) -> None:
    async with opened_with_ada(database, clock, strategy="hybrid") as auth:
        lost = await sign_in(auth)
        session = (await auth.deployment.store.session_by_id(lost.session.id)).session
        assert session is not None
        clock.move(auth.options.session_retention + auth.options.session_absolute)
        for _ in range(2):
            await auth.deployment.store.remove_expired(
                session_retention=auth.options.session_retention,
                audit_retention=auth.options.audit_retention,
                until=clock(),
            )
        assert (await auth.deployment.store.session_by_id(lost.session.id)).session is None
        clock.move(-auth.options.session_retention - auth.options.session_absolute)
        assert await auth.authenticate(bearer=access_token(lost))
        assert await auth.end_everybody(actor=ACTOR) == 0
        with pytest.raises(DoorwardError):
            await auth.authenticate(bearer=access_token(lost))
        with pytest.raises(InvalidGrant):
            await present(auth, refresh_token(lost))
