"""Nobody is sent to where the deployment has not said (CWE-601)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import ConfigurationError
from doorward.http.csrf import origin_of
from doorward.pages import Pages
from doorward.pages.return_to import LONGEST, ReturnTo, parse_return_to
from tests.http.world import PASSWORD
from tests.pages.visitor import EMAIL, Visitor, a_visited_world

APP = "https://app.example.com"
ALLOWED = {APP, "http://127.0.0.1:3000", "https://[2001:db8::1]:8443"}


def parse(text: str | None) -> ReturnTo | None:
    return parse_return_to(text, pages=("sessions",), origins=ALLOWED)


@pytest.mark.parametrize(
    "text",
    ["/", "/app", "/app?x=1&y=%2F#part", "/a/../b", "/@evil.example", "/:80", "/%2F%2Fevil.example", "sessions"],
)
def test_paths_of_our_own_origin_and_our_pages_are_taken(text: str) -> None:
    assert parse(text) == ReturnTo(address=text)


@pytest.mark.parametrize(
    "text",
    [
        APP,
        f"{APP}/",
        f"{APP}/welcome?next=//evil.example#x",
        f"{APP}?x",
        f"{APP}#x",
        f"{APP}:443/",
        "http://127.0.0.1:3000/callback",
        "https://[2001:db8::1]:8443/",
    ],
)
def test_addresses_of_allowed_origins_are_taken(text: str) -> None:
    found = parse(text)
    assert found is not None
    assert found.address == text
    assert found.origin in ALLOWED


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "\t//evil.example",
        " //evil.example",
        "/ /evil.example",
        "/\n",
        "/app\r\nset-cookie: x=y",
        "/é",
        "/\u2044/evil.example",
        "evil.example",
        "Sessions",
        "sessions ",
        "sign-out",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "http://app.example.com/",
        "HTTPS://app.example.com/",
        "https://APP.example.com/",
        "https://app.example.com.evil.example/",
        "https://app.example.com@evil.example/",
        "https://evil.example#@app.example.com/",
        "https://evil.example?@app.example.com/",
        "https://evil.example\\@app.example.com/",
        "https://app.example.com\\@evil.example/",
        "https://app.example.com:@evil.example/",
        "https://app.example.com:443@evil.example/",
        "https://app.example.com%40evil.example/",
        "https://app.example.com%2eevil.example/",
        "https://app.example.com.",
        "https://app.example.com:8443/",
        "https://app.example.com:/",
        "https://user:password@app.example.com/",
        "https://app.example.com\t.evil.example/",
        "https://ａpp.example.com/",
        "https://app.example.com;evil.example/",
        "javascript:alert(1)",
        "javascript://app.example.com/%0aalert(1)",
        "data:text/html,x",
        "blob:https://app.example.com/x",
        "/" + "x" * LONGEST,
    ],
)
def test_everything_else_is_not(text: str | None) -> None:
    assert parse(text) is None


SIGNS = st.sampled_from([*"/\\:@?#.%&= \t\r\n[]", "https:", "http:", "//", "app.example.com", "evil.example", "a", "é"])


@given(st.lists(SIGNS, max_size=8).map("".join))
def test_what_is_taken_leads_where_a_browser_takes_it(text: str) -> None:
    """Read as the URL standard has browsers read it: by hand, since Python's own reading is another one."""
    found = parse(text)
    if found is None:
        return
    assert all(sign not in text for sign in "\\ \t\r\n")
    scheme, separator, rest = text.partition("://")
    if text.startswith("/"):
        assert not text.startswith("//")
    elif separator and ":" not in scheme:
        host = rest
        for end in "/?#":
            host = host.partition(end)[0]
        assert origin_of(scheme, host) in ALLOWED
    else:
        assert text == "sessions"


def test_what_is_no_origin_is_refused_at_start() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Pages(return_to=[APP, "https://app.example.com/", "*", "app.example.com"])
    assert [problem.id for problem in refused.value.problems] == ["DW124"] * 3


@pytest.mark.anyio
async def test_signing_in_and_up_and_out_lead_on() -> None:
    async with a_visited_world(pages=Pages(return_to=[APP]), cors_origins=("https://spa.example.com",)) as world:
        for place in (f"{APP}/welcome", "https://spa.example.com/", "/app?x=1"):
            visitor = Visitor(world)
            page = await visitor.open(f"/sign-in?return_to={place.replace('?', '%3F')}")
            answer = await visitor.send(page, "sign-in", email=EMAIL, password=PASSWORD)
            assert (answer.status, answer.header("location")) == (303, place)
        visitor = Visitor(world)
        page = await visitor.open(f"/sign-up?return_to={APP}/new")
        answer = await visitor.send(page, "sign-up", email="bob@example.com", password=PASSWORD)
        assert answer.header("location") == f"{APP}/new"
        page = await visitor.open(f"/sign-out?return_to={APP}/bye")
        assert (await visitor.send(page, "sign-out")).header("location") == f"{APP}/bye"


@pytest.mark.anyio
async def test_a_place_that_nobody_has_allowed_is_left_out_everywhere() -> None:
    async with a_visited_world() as world:
        visitor = Visitor(world)
        page = await visitor.open("/sign-in?return_to=https://evil.example/")
        assert "evil.example" not in page.html
        assert "evil.example" not in (page.answer.header("content-security-policy") or "")
        answer = await visitor.send(page, "sign-in", email=EMAIL, password=PASSWORD)
        assert answer.header("location") == "sessions"
        # Nor where the form itself was written by somebody else, or the parameter is there twice.
        for query in ("return_to=//evil.example", "return_to=/app&return_to=/app"):
            form = page.form("sign-in").fields | {"email": EMAIL, "password": PASSWORD}
            answer = await visitor.client.post(f"/sign-in?{query}", form=form)
            assert answer.header("location") == "sessions"


@pytest.mark.anyio
async def test_the_policy_lets_a_form_lead_to_the_one_place_that_was_asked_for() -> None:
    """Browsers hold the redirect after a form to ``form-action`` too."""
    async with a_visited_world(pages=Pages(return_to=[APP])) as world:
        visitor = Visitor(world)
        page = await visitor.open(f"/sign-in?return_to={APP}/welcome")
        assert f"form-action 'self' {APP};" in (page.answer.header("content-security-policy") or "")
        page = await visitor.open("/sign-in?return_to=/app")
        assert "form-action 'self';" in (page.answer.header("content-security-policy") or "")
