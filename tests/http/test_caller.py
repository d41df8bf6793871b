from __future__ import annotations

import pytest

from doorward.audit.model import Actor
from doorward.doorward import Doorward
from doorward.errors import ConflictingCredentials, CsrfFailed, InvalidToken, NotAuthenticated
from doorward.http.caller import authenticate_request, recognise_bearer, recognise_cookie
from doorward.principal import Principal
from doorward.secret import Secret
from doorward.sessions.flow import verify_token
from tests.http.world import World, a_request, a_world

pytestmark = pytest.mark.anyio


async def credentials(world: World) -> tuple[str, str]:
    """A handle and an access token of two sessions: what was started under the other strategy is honoured."""
    from doorward.audit.model import Origin
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


def recognised(world: World, method: str = "GET", scheme: str = "http", **headers: str) -> Principal | None:
    authorization, cookie = headers.get("authorization"), headers.get("cookie")
    if authorization is not None:
        return recognise_bearer(world.auth, authorization, cookie)
    assert cookie is not None
    return recognise_cookie(world.auth, cookie, method, scheme)


async def seen_before(world: World) -> tuple[str, str]:
    """The headers of two requests that were made before: by cookie, and by bearer."""
    handle, token = await credentials(world)
    cookie, authorization = f"doorward_session={handle}", f"Bearer {token}"
    await authenticate_request(world.auth, a_request(headers={"cookie": cookie}))
    await authenticate_request(world.auth, a_request(headers={"authorization": authorization}))
    return cookie, authorization


async def test_who_was_seen_before_is_recognised_as_the_same(session_world: World) -> None:
    cookie, authorization = await seen_before(session_world)
    for headers in (
        {"cookie": cookie},
        {"cookie": f"theme=dark; {cookie}"},
        {"authorization": authorization},
        {"authorization": authorization.replace("Bearer", "bearer")},
        {"authorization": authorization, "cookie": "theme=dark"},
    ):
        known = await authenticate_request(session_world.auth, a_request(headers=headers))
        assert recognised(session_world, **headers) == known, headers


async def test_a_bearer_is_recognised_whatever_the_method(session_world: World) -> None:
    _, authorization = await seen_before(session_world)
    assert recognised(session_world, "POST", authorization=authorization) is not None


async def test_what_is_not_the_plainest_case_is_left_to_the_rules(session_world: World) -> None:
    cookie, authorization = await seen_before(session_world)
    for method in ("POST", "PUT", "PATCH", "DELETE", "WEBSOCKET", "UNKNOWN"):
        assert recognised(session_world, method, cookie=cookie) is None, method
    for headers in (
        {"cookie": "theme=dark"},
        {"cookie": f"{cookie}; doorward_session=planted"},
        {"cookie": f"doorward_session=planted; {cookie}"},
        {"cookie": f"x{cookie}"},
        {"cookie": f"{cookie}x"},
        {"cookie": f"{cookie};" + "x" * 64 * 1024},
        {"authorization": authorization, "cookie": cookie},
        {"authorization": "Basic YTpi", "cookie": cookie},
        {"authorization": f"{authorization}, {authorization}"},
        {"authorization": authorization + " " * 8 * 1024},
        {"authorization": authorization.replace("Bearer", "DPoP")},
    ):
        assert recognised(session_world, **headers) is None, headers


async def test_over_https_a_cookie_without_its_prefix_is_not_recognised(session_world: World) -> None:
    cookie, _ = await seen_before(session_world)
    assert recognised(session_world, scheme="https", cookie=cookie) is None
    assert recognised(session_world, scheme="https", cookie=f"__Host-{cookie}") is not None


async def test_whose_session_has_ended_is_not_recognised(session_world: World) -> None:
    cookie, authorization = await seen_before(session_world)
    principal = recognised(session_world, cookie=cookie)
    assert principal is not None
    await session_world.auth.end_session(principal.session_id, account_id=None, actor=Actor())
    assert recognised(session_world, cookie=cookie) is None
    assert recognised(session_world, authorization=authorization) is None


async def test_a_token_is_not_recognised_past_its_end(session_world: World) -> None:
    _, authorization = await seen_before(session_world)
    session_world.clock.advance(901)
    assert recognised(session_world, authorization=authorization) is None


async def test_a_cookie_is_not_recognised_while_what_is_known_of_revocations_is_old(session_world: World) -> None:
    cookie, _ = await seen_before(session_world)
    session_world.auth.deployment.freshness.known_as_of = None
    assert recognised(session_world, cookie=cookie) is None


async def test_a_generation_is_not_recognised_before_the_store_knows_that_it_arrived(world: World) -> None:
    _, body = await world.signed_in()
    headers = {"authorization": f"Bearer {body['access_token']}"}
    deployment = world.auth.deployment
    verify_token(deployment, Secret(body["access_token"]))
    assert recognised(world, **headers) is None
    principal = await authenticate_request(world.auth, a_request(headers=headers))
    assert recognised(world, **headers) == principal


async def test_nobody_is_recognised_before_it_opens() -> None:
    closed = Doorward("memory:")
    assert recognise_bearer(closed, "Bearer x", None) is None
    assert recognise_cookie(closed, "doorward_session=x", "GET", "http") is None


async def test_a_request_is_counted_once_by_the_memories(session_world: World) -> None:
    cookie, authorization = await seen_before(session_world)
    sessions, tokens = session_world.auth.deployment.cookies, session_world.auth.deployment.desk.remembered

    def counted() -> tuple[int, int, int, int]:
        return sessions.hits, sessions.misses, tokens.hits, tokens.misses

    before = counted()
    recognised(session_world, cookie=cookie)
    recognised(session_world, authorization=authorization)
    recognised(session_world, cookie="doorward_session=unknown")
    recognised(session_world, authorization="Bearer unknown")
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 0, 1, 0]
