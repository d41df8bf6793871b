"""A rehearsal: what is moved is the clock of all that goes by one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from doorward.audit.model import Actor
from doorward.doorward import Doorward
from doorward.errors import InvalidToken
from doorward.testing.stage import rehearsal
from tests.sessions.deployments import EMAIL, HOME, PASSWORD, SECRET

pytestmark = pytest.mark.anyio


async def test_an_access_token_runs_out_by_the_clock_that_a_test_moves() -> None:
    auth = Doorward("memory:", secret=SECRET, strategy="jwt")
    with rehearsal(auth) as clock:
        async with auth:
            await auth.sign_up(email=EMAIL, password=PASSWORD, actor=Actor())
            begun = await auth.sign_in(email=EMAIL, password=PASSWORD, origin=HOME)
            token = begun.credentials.access_token
            assert token is not None
            assert (await auth.authenticate(bearer=token.text)).session_id == begun.session.id
            clock.move(timedelta(minutes=17))
            with pytest.raises(InvalidToken):
                await auth.authenticate(bearer=token.text)
