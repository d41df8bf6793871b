"""What every framework does alike: one list, over HTTP, that knows nothing of what it talks to."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Literal

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from doorward.options import Strategy
from tests.frameworks.options import ELSEWHERE
from tests.frameworks.site import PASSWORD, Person, Site

Scenario = Callable[[Site], Awaitable[None]]
WITHIN_SECONDS = 30
"""For what comes by itself: far longer than it takes, so that a busy machine is no failure."""

SESSION, JWT, HYBRID = frozenset({"session"}), frozenset({"jwt"}), frozenset({"hybrid"})
BEARER = JWT | HYBRID
FOREIGN = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


@dataclass(frozen=True)
class Listed:
    """One scenario of the list.

    Args:
        run: the function.
        area: its row of the table in the docs.
        strategies: where it makes sense.
        needs: what a synchronous framework has not.
    """

    run: Scenario
    area: str
    strategies: frozenset[str]
    needs: Literal["sockets"] | None

    @property
    def name(self) -> str:
        return self.run.__name__

    def applies_to(self, strategy: Strategy, *, sockets: bool) -> bool:
        return strategy in self.strategies and (sockets or self.needs != "sockets")


SCENARIOS: list[Listed] = []


def scenario(
    area: str, *, strategies: frozenset[str] = SESSION | BEARER, needs: Literal["sockets"] | None = None
) -> Callable[[Scenario], Scenario]:
    def add(run: Scenario) -> Scenario:
        SCENARIOS.append(Listed(run, area, strategies, needs))
        return run

    return add


sockets = partial(scenario, needs="sockets")


# Signing up and in


@scenario("sign up")
async def an_address_has_one_account(site: Site) -> None:
    person = await site.stranger()
    again = {"email": person.email.upper(), "password": PASSWORD}
    answer = await site.client().post("/auth/v1/accounts", json=again)
    assert (answer.status, answer.json()["code"]) == (409, "email_taken")
    weak = await site.client().post("/auth/v1/accounts", json={"email": "new@example.com", "password": "password"})
    assert (weak.status, weak.json()["code"]) == (422, "weak_password")


@scenario("sign in")
async def signing_in_hands_out_what_the_session_travels_by(site: Site) -> None:
    person = await site.stranger()
    answer = await person.sign_in()
    body, lines = answer.json(), answer.values("set-cookie")
    assert body["session"]["current"]
    assert answer.header("cache-control") == "no-store"
    assert ("access_token" in body) is (site.strategy != "session")
    assert ("refresh_token" in body) is (site.strategy == "hybrid")
    assert ("csrf_token" in body) is (site.strategy == "session") is (len(lines) == 1)
    for line in lines:
        assert all(flag in line.lower() for flag in ("httponly", "secure", "samesite=lax", "path=/"))
    assert not person.client.readable_cookies


@scenario("sign in")
async def whether_an_address_has_an_account_is_not_told(site: Site) -> None:
    person = await site.stranger()
    known, unknown = [
        await site.client().post("/auth/v1/sessions", json={"email": email, "password": "seven wrong guesses"})
        for email in (person.email, "nobody@example.com")
    ]
    assert known.status == unknown.status == 401
    assert known.body == unknown.body
    assert known.json()["code"] == "invalid_credentials"


@scenario("sign in")
async def a_session_that_was_planted_is_not_carried_on(site: Site) -> None:
    person = await site.person()
    before = person.thief()
    await person.sign_in()
    assert await person.status() == 200
    if site.strategy == "session":
        assert await before.status() == 401


# Who it is


@scenario("who am I")
async def nobody_is_refused(site: Site) -> None:
    for path in ("/me", "/reports", "/drafts", "/vault"):
        answer = await site.client().get(path)
        assert (answer.status, answer.json()["code"]) == (401, "not_authenticated")
        assert answer.header("www-authenticate") == "Bearer"
        assert answer.header("content-type") == "application/problem+json"


@scenario("who am I")
async def whoever_has_signed_in_is_known(site: Site) -> None:
    person = await site.person()
    current = (await person.ask("GET", "/auth/v1/sessions/current")).json()
    assert current["account"]["id"] == person.account
    answer = await person.ask("GET", "/me")
    assert answer.json() == {"account": person.account, "session": current["session"]["id"]}
    assert (await person.ask("POST", "/notes")).json() == answer.json()


@scenario("who am I")
async def where_nobody_is_needed_whoever_was_signed_in_is_nobody(site: Site) -> None:
    person = await site.person()
    assert (await site.client().get("/greeting")).json() == {"known": False}
    assert (await person.ask("GET", "/greeting")).json() == {"known": True}
    before = person.thief()
    await person.ask("DELETE", "/auth/v1/sessions/current")
    assert (await before.ask("GET", "/greeting")).json() == {"known": False}


# What is demanded


@scenario("roles")
async def a_role_is_demanded(site: Site) -> None:
    person = await site.person()
    refused = await person.ask("GET", "/reports")
    assert (refused.status, refused.json()["code"]) == (403, "not_permitted")
    assert refused.header("www-authenticate") is None
    await site.change(person, roles=["analyst"])
    await person.sign_in()
    assert await person.status("/reports") == 200
    await site.change(person, roles=[])
    assert await person.status("/reports") == (403 if site.strategy == "session" else 401)


@scenario("roles")
async def a_scope_is_demanded_and_named(site: Site) -> None:
    person = await site.person()
    refused = await person.ask("GET", "/drafts")
    assert (refused.status, refused.json()["code"]) == (403, "not_permitted")
    challenge = 'Bearer error="insufficient_scope", scope="write"' if site.strategy != "session" else None
    assert refused.header("www-authenticate") == challenge
    await site.change(person, roles=["editor"])
    await person.sign_in()
    assert await person.status("/drafts") == 200


@scenario("assurance")
async def a_recent_proof_is_demanded(site: Site) -> None:
    person = await site.person()
    assert await person.status("/vault") == 200
    site.clock.move(timedelta(minutes=5, seconds=2))
    assert await person.status() == 200
    answer = await person.ask("GET", "/vault")
    assert (answer.status, answer.json()["code"]) == (401, "insufficient_user_authentication")
    assert answer.json()["max_age"] == 300
    assert answer.header("www-authenticate") == 'Bearer error="insufficient_user_authentication", max_age="300"'
    await person.sign_in()
    assert await person.status("/vault") == 200


@scenario("assurance")
async def revocations_are_demanded_as_they_are_now(site: Site) -> None:
    person = await site.person()
    assert await person.status("/transfers", "POST") == 200
    # Whatever is known is a minute old: the store is asked.
    site.clock.move(timedelta(minutes=1))
    assert await person.status("/transfers", "POST") == 200
    thief = person.thief()
    await person.ask("DELETE", "/auth/v1/sessions/current")
    site.clock.move(timedelta(minutes=1))
    assert await thief.status("/transfers", "POST") == 401


# Refreshing


@scenario("refresh", strategies=HYBRID)
async def an_access_token_ends_and_is_renewed(site: Site) -> None:
    person = await site.person()
    site.clock.move(timedelta(seconds=980))
    refused = await person.ask("GET", "/me")
    assert (refused.status, refused.json()["code"]) == (401, "invalid_token")
    before = person.refresh_token
    assert (await person.refresh()).status == 200
    assert person.refresh_token != before
    assert await person.status() == 200


@scenario("refresh", strategies=HYBRID)
async def a_browser_keeps_the_refresh_token_where_no_script_reads_it(site: Site) -> None:
    person = await site.stranger()
    answer = await person.sign_in(carrier="cookie")
    assert "refresh_token" not in answer.json()
    form = {"grant_type": "refresh_token"}
    foreign = await person.client.post("/auth/v1/token", form=form, headers=FOREIGN)
    assert (foreign.status, foreign.json()["code"]) == (403, "csrf_failed")
    renewed = await person.client.post("/auth/v1/token", form=form)
    assert renewed.status == 200
    assert await person.status() == 200


@scenario("retry", strategies=HYBRID)
async def a_lost_reply_is_made_good(site: Site) -> None:
    person = await site.person()
    lost = await person.refresh(lost=True)
    again = await person.refresh()
    assert lost.status == again.status == 200
    assert again.json()["refresh_token"] == lost.json()["refresh_token"]
    assert await person.status() == 200


@scenario("retry", strategies=HYBRID)
async def many_tabs_at_once_agree(site: Site) -> None:
    person = await site.person()
    answers = await asyncio.gather(*(person.refresh(person.refresh_token, lost=True) for _ in range(4)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


@scenario("reuse", strategies=HYBRID)
async def a_stolen_refresh_token_ends_the_session_and_no_other(site: Site) -> None:
    person = await site.person()
    other = person.elsewhere()
    await other.sign_in()
    thief = person.thief()
    for _ in range(2):
        assert (await person.refresh()).status == 200
        assert await person.status() == 200
        site.clock.move(timedelta(seconds=31))
    stolen = await thief.refresh()
    assert (stolen.status, stolen.json()["error"], stolen.json()["reason"]) == (400, "invalid_grant", "reuse")
    refused = await person.ask("GET", "/me")
    assert (refused.status, refused.json()["reason"]) == (401, "reuse")
    assert await other.status() == 200


@scenario("reuse", strategies=HYBRID)
async def a_forged_refresh_token_signs_nobody_out(site: Site) -> None:
    person = await site.person()
    token = person.refresh_token or ""
    forged = token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]
    answer = await person.refresh(forged, lost=True)
    assert (answer.status, answer.json()["error"]) == (400, "invalid_grant")
    assert "reason" not in answer.json()
    assert await person.status() == 200


# Ending


@scenario("end this session")
async def signing_out_shows_on_the_next_request(site: Site) -> None:
    person = await site.person()
    thief = person.thief()
    assert await thief.status() == 200
    answer = await person.ask("DELETE", "/auth/v1/sessions/current")
    assert (answer.status, answer.body) == (204, b"")
    assert not person.client.cookies
    refused = await thief.ask("GET", "/me")
    assert (refused.status, refused.json()["code"], refused.json()["reason"]) == (401, "session_ended", "signed_out")


@scenario("end other sessions")
async def another_device_is_ended_from_here(site: Site) -> None:
    here = await site.person()
    there = here.elsewhere()
    await there.sign_in(label="the other one")
    sessions = (await here.ask("GET", "/auth/v1/sessions")).json()["sessions"]
    assert [each["current"] for each in sessions].count(True) == 1
    (other,) = [each["id"] for each in sessions if each["label"] == "the other one"]
    assert (await here.ask("DELETE", f"/auth/v1/sessions/{other}")).status == 204
    assert [await here.status(), await there.status()] == [200, 401]


@scenario("end other sessions")
async def all_but_this_end_at_once(site: Site) -> None:
    here = await site.person()
    there = here.elsewhere()
    await there.sign_in()
    answer = await here.ask("DELETE", "/auth/v1/sessions?keep=current")
    assert answer.json() == {"revoked": 1}
    assert [await here.status(), await there.status()] == [200, 401]


@scenario("end other sessions")
async def nobody_ends_anothers_session(site: Site) -> None:
    mine, theirs = await site.person(), await site.person()
    answer = await mine.ask("DELETE", f"/auth/v1/sessions/{await theirs.session_id()}")
    assert (answer.status, answer.json()["code"]) == (404, "not_found")
    assert await theirs.status() == 200


@scenario("end all sessions")
async def all_sessions_end_at_once(site: Site) -> None:
    here = await site.person()
    there = here.elsewhere()
    await there.sign_in()
    assert (await here.ask("DELETE", "/auth/v1/sessions")).json() == {"revoked": 2}
    assert [await here.status(), await there.status()] == [401, 401]


@scenario("end all sessions")
async def an_account_that_is_disabled_is_out_at_once(site: Site) -> None:
    person = await site.person()
    await site.change(person, disabled=True)
    refused = await person.ask("GET", "/me")
    assert (refused.status, refused.json()["reason"]) == (401, "account_disabled")
    sent = {"email": person.email, "password": PASSWORD}
    assert (await site.client().post("/auth/v1/sessions", json=sent)).status == 401


@scenario("end other sessions")
async def a_new_password_ends_all_other_sessions(site: Site) -> None:
    here = await site.person()
    there = here.elsewhere()
    await there.sign_in()
    sent = {"current_password": PASSWORD, "new_password": "eleven grey owls hum in rows"}
    answer = await here.ask("PUT", "/auth/v1/password", json=sent)
    assert (answer.status, answer.body) == (204, b"")
    refused = await there.ask("GET", "/me")
    assert (refused.status, refused.json()["reason"]) == (401, "password_changed")


@scenario("end this session")
async def a_session_that_is_not_used_ends(site: Site) -> None:
    person = await site.person()
    assert await person.status() == 200
    site.clock.move(timedelta(days=15))
    refused = await person.ask("GET", "/me")
    assert refused.status == 401
    if site.strategy == "session":
        assert refused.json()["reason"] == "idle"
    if site.strategy == "hybrid":
        assert (await person.refresh()).json()["reason"] == "idle"


# Pages elsewhere


@scenario("CSRF")
async def a_foreign_page_changes_nothing_by_cookie(site: Site) -> None:
    person = await site.person()
    for method, path in (("POST", "/notes"), ("DELETE", "/auth/v1/sessions/current")):
        answer = await person.ask(method, path, headers=FOREIGN)
        if site.strategy == "session":
            assert (answer.status, answer.json()["code"]) == (403, "csrf_failed")
        else:
            # No page can make a browser send the header that carries the token.
            assert answer.status < 300
    assert await person.status() == (200 if site.strategy == "session" else 401)


@scenario("CSRF", strategies=SESSION)
async def a_client_that_says_no_origin_shows_the_token_of_its_session(site: Site) -> None:
    person, other = await site.person(), await site.person()
    silent = {"origin": None, "sec-fetch-site": None}
    for token, status in (
        (None, 403),
        (other.signed_in["csrf_token"], 403),
        (person.signed_in["csrf_token"], 200),
    ):
        answer = await person.ask("POST", "/notes", headers={**silent, "x-csrf-token": token})
        assert answer.status == status


@scenario("CSRF")
async def nobody_is_signed_in_by_a_foreign_page(site: Site) -> None:
    person = await site.stranger()
    sent = {"email": person.email, "password": PASSWORD}
    answer = await site.client().post("/auth/v1/sessions", json=sent, headers=FOREIGN)
    assert (answer.status, answer.json()["code"]) == (403, "csrf_failed")


@scenario("CORS")
async def a_page_that_is_listed_may_call_and_no_other(site: Site) -> None:
    person = await site.stranger()
    sent = {"email": person.email, "password": PASSWORD}
    listed = site.client(page=ELSEWHERE)
    answer = await listed.post("/auth/v1/sessions", json=sent)
    assert answer.status == 201
    assert answer.header("access-control-allow-origin") == ELSEWHERE
    assert answer.header("access-control-allow-credentials") == "true"
    preflight = {"origin": ELSEWHERE, "access-control-request-method": "DELETE"}
    allowed = await listed.request("OPTIONS", "/auth/v1/sessions", headers=preflight)
    assert allowed.status == 204
    assert "DELETE" in (allowed.header("access-control-allow-methods") or "")
    for path in ("/auth/v1/sessions/current", "/auth/v1/sessions"):
        foreign = await site.client().request("OPTIONS", path, headers={**preflight, **FOREIGN})
        assert foreign.header("access-control-allow-origin") is None


# What must not be taken


def _unsigned() -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt"}).encode()).rstrip(b"=").decode()
    return f"{header}.e30.AA"


@scenario("hostile tokens", strategies=BEARER)
async def no_forged_token_is_anybodys(site: Site) -> None:
    person = await site.person()
    header, claims, signature = (person.access_token or "").split(".")
    hostile = (
        _unsigned(),
        f"{header}.{claims}.",
        f"{header}.{claims}.{signature[::-1]}",
        f"{header}.{claims}.{signature}=",
        f"{_unsigned().split('.')[0]}.{claims}.{signature}",
        "no.token.atall",
        "x",
    )
    for token in hostile:
        answer = await site.client().get("/me", bearer=token)
        assert (answer.status, answer.json()["code"]) == (401, "invalid_token"), token
        assert answer.header("www-authenticate") == 'Bearer error="invalid_token"'
    # Some servers refuse so long a header themselves.
    assert (await site.client().get("/me", bearer="A" * 9000)).status in {400, 401, 431}
    twice = {"authorization": f"Bearer {person.access_token}, Bearer {person.access_token}"}
    assert (await site.client().get("/me", headers=twice)).status == 401


@scenario("hostile tokens")
async def no_cookie_that_is_not_ours_is_anybodys(site: Site) -> None:
    person = await site.person()
    name = next(iter(person.client.cookies), "doorward_session")
    for value in ("x", "A" * 5000, '"', "dws_" + "A" * 40):
        stranger = site.client()
        stranger.plant(name, value)
        answer = await stranger.get("/me")
        assert answer.status == 401
        assert (await stranger.get("/greeting")).json() == {"known": False}


@scenario("hostile tokens", strategies=BEARER)
async def a_token_in_the_address_is_not_read(site: Site) -> None:
    person = await site.person()
    assert (await site.client().get(f"/me?access_token={person.access_token}")).status == 401


@scenario("hostile bodies")
async def no_body_is_answered_by_a_failure_of_ours(site: Site) -> None:
    as_json = {"content-type": "application/json"}
    for content, headers, status in (
        (b"{", as_json, 400),
        (b"\xff\xfe", as_json, 400),
        (b"[" * 2000, as_json, 400),
        (b'{"email": 1}', as_json, 422),
        (b'{"email": "a@example.com", "password": "x", "admin": true}', as_json, 422),
        (b"email=a", {"content-type": "application/x-www-form-urlencoded"}, 415),
    ):
        answer = await site.client().post("/auth/v1/sessions", content=content, headers=headers)
        assert answer.status == status, (content[:40], answer.body)
        assert answer.header("content-type") == "application/problem+json"


@scenario("hostile bodies")
async def a_body_that_is_too_large_is_not_read(site: Site) -> None:
    as_json = {"content-type": "application/json"}
    async with httpx.AsyncClient(base_url=site.address, timeout=WITHIN_SECONDS, trust_env=False) as client:
        for _ in range(20):
            try:
                answer = await client.post("/auth/v1/sessions", content=b" " * 70_000, headers=as_json)
            except httpx.TransportError:
                continue  # it was closed on what nobody reads, before the answer had been read here
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
            return
    raise AssertionError("it was never answered")


@scenario("limits")
async def guessing_is_slowed_down_whoever_guesses(site: Site) -> None:
    person = await site.stranger()
    wrong = {"email": person.email, "password": "seven wrong guesses"}
    answers = await asyncio.gather(*(site.client().post("/auth/v1/sessions", json=wrong) for _ in range(21)))
    assert sorted(answer.status for answer in answers) == [401] * 20 + [429]
    (limited,) = [answer for answer in answers if answer.status == 429]
    assert limited.json()["code"] == "rate_limited"
    assert int(limited.header("retry-after") or 0) == limited.json()["retry_after"] > 0
    site.clock.move(timedelta(minutes=1, seconds=1))
    await person.sign_in()


@scenario("paths")
async def the_contract_is_below_its_prefix_and_nowhere_else(site: Site) -> None:
    client = site.client()
    assert (await client.get("/auth/healthz")).status == 200
    assert (await client.request("HEAD", "/auth/healthz")).body == b""
    for path in ("/healthz", "/auth/auth/healthz", "/authority/healthz", "/auth/v1/nothing", "/v1/sessions"):
        assert (await client.get(path)).status == 404, path
    keys = (await client.get("/auth/.well-known/jwks.json")).json()
    assert len(keys["keys"]) >= 1
    refused = await client.request("PUT", "/auth/v1/sessions")
    assert (refused.status, refused.json()["code"]) == (405, "method_not_allowed")


# Connections that stay open


async def _code(person: Person, path: str, meanwhile: Callable[[], Awaitable[object]]) -> int:
    """What a WebSocket is closed with, once something happens."""
    async with asyncio.timeout(WITHIN_SECONDS), person.connected(path) as socket:
        assert await socket.recv() == person.account
        await meanwhile()
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        return socket.close_code or 0


async def _echoes(person: Person, path: str, meanwhile: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(WITHIN_SECONDS), person.connected(path) as socket:
        assert await socket.recv() == person.account
        await meanwhile()
        await socket.send("still there?")
        assert await socket.recv() == "still there?"


@sockets("sockets")
async def the_end_of_a_session_closes_its_sockets(site: Site) -> None:
    person = await site.person()
    other = person.elsewhere()
    await other.sign_in()
    async with other.connected("/live") as socket:
        assert await socket.recv() == person.account
        assert await _code(person, "/live", lambda: person.ask("DELETE", "/auth/v1/sessions/current")) == 4401
        await socket.send("still there?")
        assert await socket.recv() == "still there?"


@sockets("sockets")
async def a_session_that_runs_out_closes_its_sockets(site: Site) -> None:
    person = await site.person()

    async def time_passes() -> None:
        site.clock.move(timedelta(days=15))

    assert await _code(person, "/live", time_passes) == 4401


@sockets("sockets", strategies=SESSION | HYBRID)
async def who_loses_a_role_loses_the_sockets_that_need_it(site: Site) -> None:
    person = await site.stranger()
    await site.change(person, roles=["editor", "analyst"])
    await person.sign_in()
    await _echoes(person, "/live/editors", lambda: site.change(person, roles=["editor"]))
    if site.strategy == "hybrid":
        await person.refresh()
    assert await _code(person, "/live/editors", lambda: site.change(person, roles=["analyst"])) == 4401


@sockets("sockets", strategies=HYBRID)
async def a_refresh_closes_no_socket(site: Site) -> None:
    person = await site.person()
    await _echoes(person, "/live", person.refresh)

    async def the_token_ends() -> None:
        site.clock.move(timedelta(minutes=16))
        assert await person.status() == 401

    await _echoes(person, "/live", the_token_ends)


@sockets("sockets")
async def a_socket_is_not_opened_for_nobody(site: Site) -> None:
    stranger = await site.stranger()
    with pytest.raises(InvalidStatus) as refused:
        async with stranger.connected("/live"):
            raise AssertionError("it was opened")
    assert refused.value.response.status_code == 403


@sockets("sockets", strategies=SESSION)
async def a_foreign_page_opens_no_socket_by_cookie(site: Site) -> None:
    person = await site.person()
    with pytest.raises(InvalidStatus):
        async with person.connected("/live", origin="https://evil.example"):
            raise AssertionError("it was opened")


@sockets("sockets")
async def a_socket_that_was_opened_without_the_role_is_closed(site: Site) -> None:
    person = await site.person()
    try:
        async with asyncio.timeout(WITHIN_SECONDS), person.connected("/live/editors") as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 4401
    except InvalidStatus as refused:
        # Before it is accepted, there is no code to be told.
        assert refused.response.status_code == 403  # noqa: PT017


@sockets("server-sent events")
async def the_end_of_a_session_ends_its_streams(site: Site) -> None:
    person = await site.person()
    assert (await site.client().get("/events")).status == 401
    headers = {"cookie": "; ".join(f"{name}={value}" for name, value in person.client.cookies.items())}
    if person.access_token is not None:
        headers["authorization"] = f"Bearer {person.access_token}"
    async with (
        httpx.AsyncClient(base_url=site.address, timeout=WITHIN_SECONDS, trust_env=False) as client,
        client.stream("GET", "/events", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: hello"
        await person.ask("DELETE", "/auth/v1/sessions/current")
        assert [line async for line in lines if line] == []
