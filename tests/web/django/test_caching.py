"""What a cache may give to somebody else: answers say what they depend on, and only those that do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_headers
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.response import Response

from doorward.web.django.decorators import requires
from doorward.web.django.drf import DoorwardAuthentication
from tests.web.django.people import PASSWORD, QUICK, a_browser, an_account, an_email, signed_in

VARIES = {"Cookie", "Authorization"}
DOORWARD = "doorward.web.django.middleware.DoorwardMiddleware"
DJANGOS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
UPDATE = "django.middleware.cache.UpdateCacheMiddleware"
FETCH = "django.middleware.cache.FetchFromCacheMiddleware"
LOCMEM = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": __name__}}


def hello(request: Any) -> HttpResponse:
    return HttpResponse(f"hello {request.user}")


async def hello_later(request: Any) -> HttpResponse:
    return HttpResponse(f"hello {await request.auser()}")


def by_principal(request: Any) -> HttpResponse:
    return HttpResponse(f"hello {request.principal and request.principal.subject}")


def by_refusal(request: Any) -> HttpResponse:
    return HttpResponse("out" if request.doorward_refusal else "in")


def by_template(request: HttpRequest) -> HttpResponse:
    template = engines["django"].from_string("hello {{ user }}")
    return TemplateResponse(request, template)


def rendered_without(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, engines["django"].from_string("the same for all"))


@api_view(["GET"])
@authentication_classes([DoorwardAuthentication])
def by_rest(request: Any) -> Response:
    return Response(str(request.user))


@method_decorator(requires(), name="dispatch")
class ByClass(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("for one")


def nobody_looks(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the same for all")


def nested(request: Any) -> HttpResponse:
    return hello(request)


LOOKING: dict[str, Any] = {
    "hello": hello,
    "later": hello_later,
    "principal": by_principal,
    "refusal": by_refusal,
    "template": by_template,
    "rest": by_rest,
    "class": ByClass.as_view(),
    "merged": vary_on_headers("Accept-Language")(hello),
}
urlpatterns = [
    *[path(name, view) for name, view in LOOKING.items()],
    *[path(f"page/{name}", cache_page(60)(view)) for name, view in LOOKING.items()],
    path("nobody", nobody_looks),
    path("rendered", rendered_without),
    path("page/nobody", cache_page(60)(nobody_looks)),
    path("nested/", include([path("deep/", include([path("hello", nested)]))])),
    path("auth/", include("doorward.web.django.urls")),
]


@pytest.fixture(autouse=True)
def cached() -> Iterator[None]:
    middleware = [UPDATE, *DJANGOS, DOORWARD, FETCH]
    with override_settings(ROOT_URLCONF=__name__, CACHES=LOCMEM, MIDDLEWARE=middleware, **QUICK):
        cache.clear()
        yield
        cache.clear()


def vary_of(answer: Any) -> set[str]:
    return {each.strip() for each in answer.get("Vary", "").split(",") if each}


def somebody() -> Client:
    with override_settings(ROOT_URLCONF="monolith.urls"):
        return signed_in(an_account())


@pytest.mark.parametrize("name", [*LOOKING, "nested/deep/hello"])
def test_an_answer_for_which_somebody_looked_says_what_it_depends_on(name: str) -> None:
    for browser in (somebody(), a_browser()):
        assert vary_of(browser.get(f"/{name}")) >= VARIES


def test_what_the_application_says_it_varies_on_stays() -> None:
    assert vary_of(a_browser().get("/merged")) >= {*VARIES, "Accept-Language"}


@pytest.mark.parametrize("name", ["nobody", "rendered", "auth/v1/jwks", "auth/healthz"])
def test_an_answer_for_which_nobody_looked_says_nothing(name: str) -> None:
    users: Any = get_user_model()._default_manager
    forced = Client()
    forced.force_login(users.create_user(f"looks at {name}", an_email(), PASSWORD))
    for browser in (somebody(), a_browser(), forced):
        assert not vary_of(browser.get(f"/{name}")) & VARIES


def test_the_contract_says_all_that_its_answers_vary_on() -> None:
    with override_settings(DOORWARD={**settings.DOORWARD, "CORS_ORIGINS": ["https://a.example"]}):
        answer = a_browser().get("/auth/v1/sessions/current", headers={"origin": "https://a.example"})
        assert {each.lower() for each in vary_of(answer)} >= {"origin", "cookie", "authorization"}


@pytest.mark.parametrize(
    "middleware",
    [
        [UPDATE, *DJANGOS, DOORWARD, FETCH],
        [UPDATE, FETCH, *DJANGOS, DOORWARD],
        # Under one that looks at every request before the view does.
        [UPDATE, *DJANGOS, DOORWARD, f"{__name__}.looks_first", FETCH],
    ],
)
@pytest.mark.parametrize("prefix", ["", "page/"])
def test_nobody_gets_a_page_from_the_cache_that_was_made_for_somebody_else(prefix: str, middleware: list[str]) -> None:
    browsers = [somebody(), somebody(), a_browser()]
    with override_settings(MIDDLEWARE=middleware):
        for name in ("hello", "later", "principal", "template", "rest"):
            pages = [browser.get(f"/{prefix}{name}").content for browser in browsers]
            assert len(set(pages)) == 3, (name, pages)
            assert [browser.get(f"/{prefix}{name}").content for browser in browsers] == pages


def looks_first(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        str(request.user)
        return get_response(request)

    return middleware


def test_a_cache_still_answers_whoever_it_may() -> None:
    browser, other = somebody(), a_browser()
    for name in ("nobody", "page/nobody"):
        browser.get(f"/{name}")
        assert "Age" in other.get(f"/{name}") or other.get(f"/{name}").has_header("Expires")
    before = browser.get("/hello")
    assert browser.get("/hello")["Expires"] == before["Expires"]


@pytest.mark.anyio
async def test_asynchronous_answers_say_it_too() -> None:
    for name in ("later", "class", "principal"):
        assert vary_of(await AsyncClient().get(f"/{name}")) >= VARIES
    assert not vary_of(await AsyncClient().get("/nobody")) & VARIES


def test_signing_in_names_nobody_to_a_cache() -> None:
    users: Any = get_user_model()._default_manager
    user = users.create_user("cached", "cached@example.com", PASSWORD)
    browser = Client()
    browser.force_login(user)
    assert browser.get("/hello").content == b"hello cached"
    assert Client().get("/hello").content == b"hello AnonymousUser"
