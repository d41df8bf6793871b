from __future__ import annotations

import pytest

from doorward.errors import ConflictingCredentials, CsrfFailed, InvalidToken, NotAuthenticated
from doorward.http.caller import authenticate_request
from tests.http.world import World, a_request, a_world

pytestmark = pytest.mark.anyio


async def credentials(world: World) -> tuple[str, str]:
    """A handle and an access token of two sessions: what was started under the other strategy is honoured."""
    from doorward.audit.model import Origin
    from doorward.secret import Secret
    from tests.http.world import PASSWORD

    signed_in = await world.auth.sign_in(email="ada@example.com", password=Secret(PASSWORD), origin=Origin())
    handle = signed_in.credentials.handle
    assert handle is not None
    token = world.auth.deployment.desk.issue(signed_in.session, signed_in.account, now=world.clock())
    return handle.reveal(), token.text.reveal()


async def test_a_cookie_is_enough(session_world: World) -> None:
    handle, _ = await credentials(session_world)
    request = a_request(headers={"cookie": f"doorward_session={handle}"})
    assert (await authenticate_request(session_world.auth, request)).carrier == "cookie"


async def test_a_bearer_is_enough(session_world: World) -> None:
    _, token = await credentials(session_world)
    request = a_request(headers={"authorization": f"Bearer {token}"})
    assert (await authenticate_request(session_world.auth, request)).carrier == "token"


async def test_neither_is_not(session_world: World) -> None:
    with pytest.raises(NotAuthenticated):
        await authenticate_request(session_world.auth, a_request(headers={"authorization": "Basic YTpi"}))


async def test_both_of_one_session_are_fine_and_exempt_from_the_csrf_check(session_world: World) -> None:
    handle, token = await credentials(session_world)
    headers = {"cookie": f"doorward_session={handle}", "authorization": f"Bearer {token}", "origin": "null"}
    principal = await authenticate_request(session_world.auth, a_request(method="POST", headers=headers))
    assert principal.carrier == "token"


async def test_both_of_different_sessions_are_refused(session_world: World) -> None:
    (handle, _), (_, token) = await credentials(session_world), await credentials(session_world)
    headers = {"cookie": f"doorward_session={handle}", "authorization": f"Bearer {token}"}
    with pytest.raises(ConflictingCredentials):
        await authenticate_request(session_world.auth, a_request(headers=headers))


async def test_that_is_a_400_on_the_wire(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    _, token = await credentials(session_world)
    answer = await client.get("/v1/sessions/current", bearer=token)
    assert (answer.status, answer.json()["code"]) == (400, "conflicting_credentials")


async def test_a_dead_cookie_beside_a_good_bearer_contradicts_nothing(session_world: World) -> None:
    (handle, old), (_, token) = await credentials(session_world), await credentials(session_world)
    client = session_world.client()
    assert (await client.delete("/v1/sessions/current", bearer=old)).status == 204
    for cookie in (handle, "dws_" + "A" * 32, "", "nonsense"):
        headers = {"cookie": f"doorward_session={cookie}", "authorization": f"Bearer {token}"}
        assert (await authenticate_request(session_world.auth, a_request(headers=headers))).carrier == "token"


async def test_a_bad_bearer_is_refused_beside_a_good_cookie(session_world: World) -> None:
    handle, _ = await credentials(session_world)
    for bearer in ("nonsense", "", "a b", "x" * 9000):
        headers = {"cookie": f"doorward_session={handle}", "authorization": f"Bearer {bearer}"}
        with pytest.raises(InvalidToken):
            await authenticate_request(session_world.auth, a_request(headers=headers))


async def test_another_scheme_beside_a_good_cookie_is_ignored(session_world: World) -> None:
    handle, _ = await credentials(session_world)
    headers = {"cookie": f"doorward_session={handle}", "authorization": "Basic YTpi"}
    assert (await authenticate_request(session_world.auth, a_request(headers=headers))).carrier == "cookie"


async def test_two_cookies_of_one_name_are_refused_and_not_picked_from(session_world: World) -> None:
    (mine, _), (planted, _) = await credentials(session_world), await credentials(session_world)
    for first, second in ((mine, planted), (planted, mine)):
        request = a_request(headers={"cookie": f"doorward_session={first}; doorward_session={second}"})
        with pytest.raises(ConflictingCredentials):
            await authenticate_request(session_world.auth, request)


async def test_a_cookie_call_of_an_applications_own_route_is_checked_too(session_world: World) -> None:
    handle, _ = await credentials(session_world)
    headers = {"cookie": f"doorward_session={handle}", "origin": "https://evil.example"}
    with pytest.raises(CsrfFailed):
        await authenticate_request(session_world.auth, a_request(method="POST", path="/transfer", headers=headers))
    await authenticate_request(session_world.auth, a_request(headers=headers))


async def test_on_https_only_the_protected_name_opens_anything() -> None:
    async with a_world(strategy="session", issuer="https://auth.example.com") as world:
        await world.sign_up()
        handle, _ = await credentials(world)
        with pytest.raises(NotAuthenticated):
            await authenticate_request(world.auth, a_request(headers={"cookie": f"doorward_session={handle}"}))
        request = a_request(headers={"cookie": f"__Host-doorward_session={handle}"})
        assert (await authenticate_request(world.auth, request)).carrier == "cookie"


@pytest.mark.parametrize("header", ["Bearer " + "a" * 20_000, "Basic " + "a" * 20_000])
async def test_a_credential_over_8_kib_is_401(world: World, header: str) -> None:
    answer = await world.client().get("/v1/sessions/current", headers={"authorization": header})
    assert answer.status == 401
    assert answer.header("www-authenticate") == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("size", [9_000, 70_000])
async def test_a_cookie_over_8_kib_is_401(session_world: World, size: int) -> None:
    headers = {"cookie": "doorward_session=" + "a" * size}
    answer = await session_world.client().get("/v1/sessions/current", headers=headers)
    assert (answer.status, answer.json()["code"]) == (401, "not_authenticated")


async def test_where_clients_come_over_https_a_page_of_the_same_host_over_http_is_foreign() -> None:
    async with a_world(strategy="session", issuer="https://auth.example.com") as world:
        await world.sign_up()
        handle, _ = await credentials(world)
        # A proxy has taken the encryption off: the hop to us is plain.
        sent = {"cookie": f"__Host-doorward_session={handle}", "host": "auth.example.com"}
        own = a_request(method="DELETE", headers={**sent, "origin": "https://auth.example.com"})
        assert await authenticate_request(world.auth, own)
        foreign = a_request(method="DELETE", headers={**sent, "origin": "http://auth.example.com"})
        with pytest.raises(CsrfFailed):
            await authenticate_request(world.auth, foreign)
