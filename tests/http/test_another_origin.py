"""Which ways work between a page and an API, by their origins alone."""

from __future__ import annotations

import pytest
from publicsuffixlist import PublicSuffixList

from doorward.errors import ConfigurationError
from doorward.http.another_origin import BROWSERS, Way, Ways, decide_ways, parse_origin

_SUFFIXES = PublicSuffixList()


def ways_of(app: str, api: str) -> Ways:
    return decide_ways(app, api, registrable_domain=_SUFFIXES.privatesuffix)


def the(name: str, ways: Ways) -> Way:
    return next(way for way in ways.ways if way.name == name)


@pytest.mark.parametrize(
    ("app", "api", "relation"),
    [
        ("https://example.com", "https://example.com", "same_origin"),
        ("https://Example.com:443/", "https://example.com", "same_origin"),
        ("https://app.example.com", "https://api.example.com", "same_site"),
        ("https://example.com", "https://api.example.com", "same_site"),
        ("https://example.com:8443", "https://example.com", "same_site"),
        ("https://a.example.co.uk", "https://b.example.co.uk", "same_site"),
        ("https://one.co.uk", "https://two.co.uk", "cross_site"),
        ("https://me.github.io", "https://you.github.io", "cross_site"),
        ("https://github.io", "https://github.io:8443", "same_site"),
        ("https://example.com", "https://example.org", "cross_site"),
        # Browsers count http and https of one name as two sites.
        ("http://app.example.com", "https://api.example.com", "cross_site"),
        ("http://localhost:5173", "http://localhost:8000", "same_site"),
        ("http://localhost:5173", "http://127.0.0.1:8000", "cross_site"),
        ("http://127.0.0.1:5173", "http://127.0.0.1:8000", "same_site"),
        ("https://github.io", "https://co.uk", "cross_site"),
        ("http://10.0.0.1", "http://11.0.0.1", "cross_site"),
        ("http://[::1]:5173", "http://[::1]:8000", "same_site"),
    ],
)
def test_how_two_origins_stand_to_each_other(app: str, api: str, relation: str) -> None:
    assert ways_of(app, api).relation == relation


def test_on_one_origin_there_is_nothing_to_choose() -> None:
    ways = ways_of("https://example.com", "https://example.com")
    assert [way.name for way in ways.ways] == ["cookie"]
    assert ways.ways[0].settings == {"DOORWARD_ISSUER": "https://example.com"}
    assert ways.ways[0].client == "createClient()"


def test_on_one_site_the_cookie_is_the_way_everywhere() -> None:
    first = ways_of("https://app.example.com", "https://api.example.com").ways[0]
    assert (first.name, first.works_in) == ("cookie", BROWSERS)
    assert first.settings == {
        "DOORWARD_ISSUER": "https://api.example.com",
        "DOORWARD_CORS_ORIGINS": "https://app.example.com",
    }
    assert first.client == 'createClient({ base: "https://api.example.com" })'


def test_on_two_sites_the_cookie_works_nowhere_and_the_others_do() -> None:
    ways = ways_of("https://app.example.com", "https://doorward.example.org")
    assert [(way.name, way.works_in) for way in ways.ways] == [
        ("proxy", BROWSERS),
        ("token", BROWSERS),
        ("cookie", ()),
    ]
    assert 'carrier: "token"' in the("token", ways).client
    assert the("proxy", ways).settings == {"DOORWARD_ISSUER": "https://app.example.com"}


def test_a_page_over_https_cannot_call_an_api_over_http_but_through_its_own_origin() -> None:
    ways = ways_of("https://app.example.com", "http://api.example.com")
    assert [(way.name, bool(way.works_in)) for way in ways.ways] == [
        ("proxy", True),
        ("cookie", False),
        ("token", False),
    ]


def test_plain_http_keeps_no_cookie_but_on_this_machine() -> None:
    assert the("cookie", ways_of("http://app.lan.example", "http://api.lan.example")).works_in == ()
    local = the("cookie", ways_of("http://localhost:5173", "http://localhost:8000"))
    assert local.works_in == BROWSERS
    assert local.settings["DOORWARD_INSECURE_COOKIES_OVER_HTTP"] == "on"


def test_only_development_is_told_to_loosen_cookies() -> None:
    for app, api in (
        ("https://app.example.com", "https://api.example.com"),
        ("https://example.com", "https://example.org"),
        ("http://example.com", "http://example.com"),
    ):
        assert not [way for way in ways_of(app, api).ways if "DOORWARD_INSECURE_COOKIES_OVER_HTTP" in way.settings]


@pytest.mark.parametrize(
    "text",
    [
        *("", "example.com", "ftp://example.com", "https://", "https://example.com/app", "https://example.com?x"),
        *("https://ada@example.com", "https://example.com:port", "https://example.com:99999", "https://[::1", "null"),
    ],
)
def test_what_is_no_origin_is_refused_by_the_flag_that_brought_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--app is no origin"):
        parse_origin(text, named="--app")
