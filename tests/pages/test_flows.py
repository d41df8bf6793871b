"""What a person does at the pages, the same under every strategy, without JavaScript."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest

from doorward.options import Strategy
from doorward.sessions.model import EndReason
from tests.http.world import PASSWORD, World
from tests.pages.visitor import EMAIL, Visitor, a_visited_world, beside, sessions_of

pytestmark = pytest.mark.anyio

NEW_PASSWORD = "nine lighthouses hum a slow waltz"
COOKIES = {"session": "doorward_session", "hybrid": "doorward_refresh", "jwt": "doorward_page"}


@pytest.fixture(params=get_args(Strategy))
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with a_visited_world(strategy=request.param) as made:
        yield made


async def test_signing_up_signs_in(world: World) -> None:
    visitor = Visitor(world)
    page = await visitor.open("/sign-up")
    page = await visitor.submit(page, "sign-up", name="Grace", email="grace@example.com", password=PASSWORD)
    assert page.address == "/sessions"
    assert "Signed in as grace@example.com" in page.text
    account = await world.auth.deployment.store.account_by_email("grace@example.com")
    assert account is not None
    assert account.name == "Grace"
    assert COOKIES[world.auth.options.strategy] in visitor.client.cookies


async def test_a_space_around_the_address_is_no_part_of_it(world: World) -> None:
    visitor = Visitor(world)
    page = await visitor.open("/sign-up")
    await visitor.submit(page, "sign-up", email="  grace@example.com ", password=PASSWORD)
    assert await world.auth.deployment.store.account_by_email("grace@example.com") is not None
    visitor = Visitor(world)
    page = await visitor.submit(await visitor.open("/sign-in"), "sign-in", email=f" {EMAIL}\u00a0", password=PASSWORD)
    assert page.address == "/sessions"


async def test_signing_in_and_out(world: World) -> None:
    visitor = Visitor(world)
    page = await visitor.sign_in()
    assert page.address == "/sessions"
    assert "Signed in as ada@example.com" in page.text
    assert len(await sessions_of(world)) == 1

    page = await visitor.submit(await visitor.open("/sign-out"), "sign-out")
    assert page.address == "/sign-in?notice=signed_out"
    assert "You are signed out." in page.text
    assert await sessions_of(world) == set()
    assert set(visitor.client.cookies) == {"doorward_form"}
    assert (await visitor.open("/sessions")).address == "/sign-in?return_to=sessions"


async def test_whoever_has_not_signed_in_comes_back_to_where_they_wanted(world: World) -> None:
    visitor = Visitor(world)
    page = await visitor.open("/change-password")
    assert page.address == "/sign-in?return_to=change-password"
    page = await visitor.submit(page, "sign-in", email=EMAIL, password=PASSWORD)
    assert page.address == "/change-password"


async def test_a_link_signs_nobody_out(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    await visitor.open("/sign-out")
    assert len(await sessions_of(world)) == 1


async def test_signing_out_twice_is_no_mistake(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    page = await visitor.open("/sign-out")
    kept = visitor.client.copy()
    await visitor.submit(page, "sign-out")
    visitor.client = kept
    assert (await visitor.submit(page, "sign-out")).address.startswith("/sign-in")


async def test_an_unknown_address_and_a_wrong_password_are_answered_alike(world: World) -> None:
    visitor = Visitor(world)
    page = await visitor.open("/sign-in")
    wrong = await visitor.submit(page, "sign-in", email=EMAIL, password="not this one at all")
    unknown = await visitor.submit(page, "sign-in", email="bob@example.com", password="not this one at all")
    assert (wrong.status, unknown.status) == (422, 422)
    assert "The e-mail address or the password is wrong." in wrong.text
    assert wrong.html.replace(EMAIL, "") == unknown.html.replace("bob@example.com", "")


async def test_a_password_is_never_in_a_page_an_address_or_a_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong with the rest of the form."""
    caplog.set_level(logging.DEBUG)
    visitor, secret = Visitor(world), "hunter2hunter2"
    shown = [
        await visitor.submit(await visitor.open("/sign-in"), "sign-in", email=EMAIL, password=secret),
        await visitor.submit(await visitor.open("/sign-up"), "sign-up", email="nobody", password=secret),
        await visitor.submit(await visitor.open("/sign-up"), "sign-up", email=EMAIL, password=secret),
    ]
    await visitor.sign_in()
    page = await visitor.open("/change-password")
    shown += [
        await visitor.submit(page, "change-password", current_password=secret, new_password=secret),
        await visitor.submit(page, "change-password", current_password=PASSWORD, new_password=secret),
    ]
    for page in shown:
        assert page.status == 422
        assert secret not in page.html
        assert secret not in page.address
    assert "refused" in caplog.text
    assert secret not in caplog.text
    assert PASSWORD not in caplog.text


async def test_changing_the_password_signs_all_other_devices_out(world: World) -> None:
    other, visitor = Visitor(world), Visitor(world)
    await other.sign_in()
    page = await visitor.sign_in()
    page = await visitor.open("/change-password")
    page = await visitor.submit(page, "change-password", current_password=PASSWORD, new_password=NEW_PASSWORD)
    assert page.address == "/sessions?notice=password_changed"
    assert "Your password has been changed" in page.text
    assert (await other.open("/sessions")).address == "/sign-in?return_to=sessions&notice=over_password_changed"
    assert (await Visitor(world).sign_in()).status == 422
    assert (await Visitor(world).sign_in(password=NEW_PASSWORD)).address == "/sessions"


async def test_the_current_password_is_asked_for(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    page = await visitor.open("/change-password")
    page = await visitor.submit(page, "change-password", current_password="wrong", new_password=NEW_PASSWORD)
    assert page.status == 422
    assert "This is not your current password." in beside(page, "current_password")
    assert (await Visitor(world).sign_in()).address == "/sessions"


async def test_your_sessions_can_be_seen_and_ended_one_by_one(world: World) -> None:
    phone = Visitor(world, user_agent="Mozilla/5.0 (iPhone) Version/18.0 Mobile/15E148 Safari/604.1")
    await phone.sign_in()
    visitor = Visitor(world)
    page = await visitor.sign_in()
    assert page.text.index("Firefox on Linux This device") < page.text.index("Safari on iPhone")
    assert "Last active just now" in page.text
    assert "127.0.0.1" in page.text
    answer = await visitor.send(page, "end-session", session=page.forms[2].fields["session"])
    assert (answer.status, answer.header("location")) == (303, "sessions?notice=session_ended")
    page = await visitor.open("/sessions?notice=session_ended")
    assert "The device is signed out." in page.text
    assert "Safari on iPhone" not in page.text
    assert (await phone.open("/sessions")).address.startswith("/sign-in")


async def test_all_others_can_be_ended_at_once(world: World) -> None:
    others = [Visitor(world), Visitor(world)]
    for other in others:
        await other.sign_in()
    visitor = Visitor(world)
    page = await visitor.submit(await visitor.sign_in(), "end-other-sessions")
    assert page.address == "/sessions?notice=others_ended"
    assert len(await sessions_of(world)) == 1
    assert all(form.action != "end-other-sessions" for form in page.forms)
    for other in others:
        assert (await other.open("/sessions")).address.startswith("/sign-in")


async def test_ending_ones_own_session_signs_out(world: World) -> None:
    visitor = Visitor(world)
    page = await visitor.sign_in()
    page = await visitor.submit(page, "end-session")
    assert page.address == "/sign-in?notice=signed_out"
    assert set(visitor.client.cookies) == {"doorward_form"}


async def test_nobody_ends_a_session_of_another_account(world: World) -> None:
    await world.sign_up("eve@example.com")
    await Visitor(world).sign_in()
    (theirs,) = await sessions_of(world)
    eve = Visitor(world)
    page = await eve.sign_in("eve@example.com")
    for session in (theirs, "../../v1", "", "x" * 5000):
        await eve.submit(page, "end-session", session=session)
    assert await sessions_of(world) == {theirs}


async def test_signing_in_again_is_offered_and_not_forced_on_anybody(world: World) -> None:
    """A redirect would send somebody round in circles whom the application does not take for signed in."""
    visitor = Visitor(world)
    await visitor.sign_in()
    page = await visitor.open("/sign-in?return_to=/app")
    assert page.status == 200
    assert "You are signed in" in page.text
    assert "/app" in page.links
    # The way to another account is to sign out, and it leads on to the same place.
    answer = await visitor.send(page, "sign-out")
    assert answer.header("location") == "/app"


async def test_what_was_in_the_browser_before_ends_with_signing_in(world: World) -> None:
    attacker, victim = Visitor(world), Visitor(world)
    await world.sign_up("eve@example.com")
    await attacker.sign_in("eve@example.com")
    name = COOKIES[world.auth.options.strategy]
    page = await victim.open("/sign-in")
    victim.client.plant(name, attacker.client.cookies[name])
    await victim.submit(page, "sign-in", email=EMAIL, password=PASSWORD)
    assert await sessions_of(world, "eve@example.com") == set()
    assert len(await sessions_of(world)) == 1


async def test_the_cookie_can_be_read_by_no_script(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    assert visitor.client.readable_cookies == {}


async def test_a_session_ended_elsewhere_shows_on_the_next_page(world: World) -> None:
    visitor = Visitor(world)
    page = await visitor.sign_in()
    account = await world.auth.deployment.store.account_by_email(EMAIL)
    assert account is not None
    (session,) = await sessions_of(world)
    client = world.client()
    answer = await client.delete(
        f"/v1/admin/accounts/{account.id}/sessions/{session}", bearer="an-admin-key-that-nobody-guesses"
    )
    assert answer.status == 204
    page = await visitor.open("/sessions")
    assert page.address == "/sign-in?return_to=sessions&notice=over_admin"
    assert "An administrator has ended your session." in page.text


@pytest.mark.parametrize(("code", "said"), [("en", "did not use it for a while"), ("de", "eine Weile nicht benutzt")])
@pytest.mark.parametrize("strategy", ["session", "hybrid"])
async def test_whoever_was_away_for_too_long_is_told_that_it_was_that(strategy: Strategy, code: str, said: str) -> None:
    async with a_visited_world(strategy=strategy) as world:
        visitor = Visitor(world)
        await visitor.sign_in()
        world.clock.advance(43_200)
        page = await visitor.open(f"/sessions?lang={code}")
        assert page.address.endswith("&notice=over_idle")
        assert said in page.text


async def test_no_link_makes_the_page_say_anything_else(world: World) -> None:
    visitor = Visitor(world)
    for reason in EndReason:
        assert "Sign in" in (await visitor.open(f"/sign-in?notice=over_{reason}")).text
    plain = (await visitor.open("/sign-in")).text
    assert (await visitor.open("/sign-in?notice=over_stolen")).text == plain


async def test_forty_sessions_are_a_page_that_begins_with_what_can_be_done(world: World) -> None:
    for _ in range(39):
        await Visitor(world).sign_in()
    page = await (visitor := Visitor(world)).sign_in()
    assert [form.action for form in page.forms[:2]] == ["end-other-sessions", "end-session"]
    assert page.links[0] == "change-password"
    shown, _, folded = page.html.partition("<details>")
    assert (shown.count('<li class="session">'), folded.count('<li class="session">')) == (8, 32)
    assert "32 more devices" in page.text
    page = await visitor.submit(page, "end-other-sessions")
    assert page.html.count('<li class="session">') == 1


@pytest.mark.parametrize("form", ["sign-out", "end-session"])
@pytest.mark.parametrize("scripts", [True, False])
async def test_a_browser_without_scripts_forgets_what_it_shows_when_going_back(
    world: World, form: str, *, scripts: bool
) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    page = await visitor.open({"sign-out": "/sign-out", "end-session": "/sessions"}[form])
    if scripts:
        del page.form(form).fields["no_script"]
    answer = await visitor.send(page, form)
    # With scripts the pages see to it themselves: clearing the cache takes Chromium seconds.
    assert answer.values("clear-site-data") == ([] if scripts else ['"cache"'])


async def test_an_api_of_the_same_deployment_takes_what_a_page_has_set(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    if world.auth.options.strategy == "session":
        assert (await visitor.client.get("/v1/sessions/current")).status == 200
    elif world.auth.options.strategy == "hybrid":
        answer = await visitor.client.post("/v1/token", form={"grant_type": "refresh_token"})
        assert answer.status == 200
        assert "refresh_token" not in answer.json()
    else:
        # There is no cookie that carries sessions: the one of the pages opens nothing else.
        assert (await visitor.client.get("/v1/sessions/current")).status == 401


async def test_a_place_is_shown_where_there_is_a_database(a_geo_database: Path) -> None:
    async with a_visited_world(geo_database=a_geo_database) as world:
        page = await Visitor(world).sign_in()
        assert "Ankh, Discworld" in page.text
        assert "127.0.0.1" not in page.text
        german = Visitor(world)
        german.headers["accept-language"] = "de"
        assert "Ankh, Scheibenwelt" in (await german.sign_in()).text


async def test_a_rate_limit_says_kindly_when_to_come_back() -> None:
    async with a_visited_world(rate_limits=True) as world:
        visitor = Visitor(world)
        page = await visitor.open("/sign-in")
        for _ in range(20):
            await visitor.send(page, "sign-in", email=EMAIL, password="not this one")
        page = await visitor.submit(page, "sign-in", email=EMAIL, password=PASSWORD)
        assert page.status == 429
        assert page.answer.header("retry-after") == "60"
        assert "Too many attempts. Try again in 1 minute." in page.text


async def test_what_has_gone_wrong_here_is_told_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_visited_world() as world:
        visitor = Visitor(world)
        await visitor.sign_in()

        async def fail(_: object) -> None:
            raise ZeroDivisionError("the secret of the house")

        monkeypatch.setattr(world.auth, "sessions", fail)
        page = await visitor.open("/sessions")
        assert page.status == 500
        assert "Something went wrong here" in page.text
        assert "secret of the house" not in page.html
        assert len(world.bugs.found) == 1
        world.bugs.found.clear()


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/sessions", b"", 405),
        ("PUT", "/sign-in", b"", 405),
        ("OPTIONS", "/sign-in", b"", 405),
        ("POST", "/sign-in", b"x" * 70_000, 413),
        ("POST", "/sign-in", b"{}", 400),
        ("POST", "/sign-in", b"email=a&email=b", 400),
        ("POST", "/sign-in", b"email=%ff", 400),
        ("GET", "/sign-in?lang=%00&return_to=%ff&notice=<script>&a=1&a=2", b"", 200),
        ("GET", "/sign-in?" + "a=1&" * 100, b"", 200),
        ("HEAD", "/sign-in", b"", 200),
    ],
)
async def test_whatever_comes_is_answered_by_a_page(method: str, path: str, content: bytes, status: int) -> None:
    async with a_visited_world() as world:
        headers = {"content-type": "application/x-www-form-urlencoded" if content[:1] != b"{" else "application/json"}
        answer = await world.client().request(method, path, content=content, headers=headers)
    assert answer.status == status
    assert answer.header("content-type") == "text/html; charset=utf-8"
    assert b"<script>" not in answer.body.replace(b"</script>", b"")


async def test_the_start_and_the_well_known_place_lead_to_the_pages() -> None:
    async with a_visited_world() as world:
        client = world.client()
        assert (await client.get("/")).header("location") == "sessions"
        answer = await client.get("/.well-known/change-password")
        assert (answer.status, answer.header("location")) == (303, "../change-password")


async def test_without_pages_there_are_none() -> None:
    from tests.http.world import a_world

    async with a_world() as world:
        for path in ("/", "/sign-in", "/assets/doorward.css", "/.well-known/change-password"):
            assert (await world.client().get(path)).status == 404
