"""401, 403 and 503 with our headers and body, whatever framework on Django they are raised below."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.response import Response
from rest_framework.views import APIView

from doorward.assurance import Demands
from doorward.errors import DoorwardError, NotPermitted, StoreUnavailable
from doorward.web.django.decorators import demand, requires
from doorward.web.django.messages import problem
from doorward.web.django.middleware import DoorwardMiddleware
from tests.web.django.people import a_browser, an_account, signed_in

REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"


class ByRest(APIView):
    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Any) -> Response:
        return Response(demand(request, Demands(roles={"analyst"})).subject)


class ByClass(View):
    @method_decorator(requires(roles={"analyst"}))
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


class ByMistake(View):
    @requires()
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


def raising(request: HttpRequest) -> HttpResponse:
    demand(request, Demands(roles={"analyst"}))
    return HttpResponse()


async def raising_later(request: HttpRequest) -> HttpResponse:
    from asgiref.sync import sync_to_async

    await sync_to_async(demand)(request, Demands(roles={"analyst"}))
    return HttpResponse()


class Api:
    """What django-ninja does with exceptions: handlers by class, and one for all, which answers 500 under DEBUG."""

    def __init__(self) -> None:
        self.handlers: dict[type[Exception], Callable[..., HttpResponse]] = {Exception: self.any_other}

    def any_other(self, request: HttpRequest, error: Exception) -> HttpResponse:
        if not settings.DEBUG:
            raise error
        return HttpResponse("a traceback", status=500)

    def view(self, auth: Callable[[HttpRequest], object], inner: Callable[[HttpRequest], HttpResponse]) -> Any:
        def view(request: HttpRequest) -> HttpResponse:
            try:
                if not auth(request):
                    return HttpResponse(status=401)
                return inner(request)
            except Exception as error:  # noqa: BLE001 -- as it does
                kind = next(each for each in type(error).__mro__ if each in self.handlers)
                return self.handlers[kind](request, error)

        return view


def done(_: HttpRequest) -> HttpResponse:
    return HttpResponse()


analysts = partial(demand, demands=Demands(roles={"analyst"}))
with_handler, without = Api(), Api()
with_handler.handlers[DoorwardError] = problem


def unavailable(request: HttpRequest) -> HttpResponse:
    raise StoreUnavailable(detail="the database is gone")


VIEWS = {
    "rest": ByRest.as_view(),
    "class": ByClass.as_view(),
    "raising": raising,
    "later": raising_later,
    "api": with_handler.view(analysts, done),
    "plain-api": without.view(analysts, done),
    "api-view": with_handler.view(lambda _: True, requires(roles={"analyst"})(done)),
}
_own = [path(name, view) for name, view in VIEWS.items()]
urlpatterns = [
    *_own,
    path("nested/", include([path("deeper/", include(_own))])),
    path("unavailable", unavailable),
    path("api-unavailable", with_handler.view(lambda _: True, unavailable)),
    path("mistake", ByMistake.as_view()),
    path("", include("monolith.urls")),
]


@pytest.fixture(autouse=True)
def our_pages() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


def in_production(browser: Client) -> Client:
    """A browser to which exceptions are answered, as a server does."""
    browser.raise_request_exception = False
    return browser


@pytest.mark.parametrize("prefix", ["", "nested/deeper/"])
@pytest.mark.parametrize("name", VIEWS)
def test_refusals_are_answered_as_everywhere_below_every_framework(name: str, prefix: str) -> None:
    nobody = in_production(a_browser()).get(f"/{prefix}{name}")
    assert (nobody.status_code, nobody["content-type"], nobody["www-authenticate"]) == (
        401,
        "application/problem+json",
        "Bearer",
    )
    assert (nobody["vary"], nobody["cache-control"]) == ("Cookie, Authorization", "no-store")
    refused = in_production(signed_in(an_account())).get(f"/{prefix}{name}")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
    assert in_production(signed_in(an_account("analyst"))).get(f"/{prefix}{name}").status_code == 200


@pytest.mark.parametrize("name", [each for each in VIEWS if each != "plain-api"])
def test_they_are_with_debug_as_without(name: str) -> None:
    with override_settings(DEBUG=True):
        assert in_production(a_browser()).get(f"/{name}").json()["code"] == "not_authenticated"


@pytest.mark.parametrize("name", ["unavailable", "api-unavailable"])
def test_a_store_that_is_down_is_answered_with_when_to_come_back(name: str) -> None:
    answer = in_production(a_browser()).get(f"/{name}")
    assert (answer.status_code, answer.json()["code"], bool(answer["retry-after"])) == (503, "store_unavailable", True)


@pytest.mark.anyio
@pytest.mark.parametrize("name", VIEWS)
async def test_they_are_answered_under_asgi_as_well(name: str) -> None:
    client = AsyncClient()
    client.raise_request_exception = False
    answer = await client.get(f"/{name}")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_a_method_that_is_decorated_as_a_function_says_how_it_is_done() -> None:
    with pytest.raises(TypeError, match=r"ByMistake instead of a request.*method_decorator\(requires"):
        a_browser().get("/mistake")


def test_a_middleware_that_logs_everybody_out_of_pages_leaves_refusals_to_the_decorator() -> None:
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, REQUIRED]):
        assert a_browser().get("/me").status_code == 401
        assert a_browser().get("/auth/healthz").status_code == 200
        assert a_browser().get("/").status_code == 302
        browser = signed_in(an_account())
        assert (browser.get("/me").status_code, browser.get("/").status_code) == (200, 200)


def test_a_wrong_place_of_the_middleware_is_told_when_a_server_starts(caplog: pytest.LogCaptureFixture) -> None:
    ours = "doorward.web.django.middleware.DoorwardMiddleware"
    late = [each for each in settings.MIDDLEWARE if each != ours]
    with override_settings(MIDDLEWARE=[ours, *late]), caplog.at_level(logging.ERROR):
        DoorwardMiddleware(lambda _: HttpResponse())
    assert "doorward.E002: DoorwardMiddleware comes too early" in caplog.text
    assert "AuthenticationMiddleware" in caplog.text


def test_without_the_middleware_the_decorator_works_and_the_rest_says_what_to_do() -> None:
    ours = "doorward.web.django.middleware.DoorwardMiddleware"
    with override_settings(MIDDLEWARE=[each for each in settings.MIDDLEWARE if each != ours]):
        assert in_production(a_browser()).get("/class").status_code == 401
        with (
            override_settings(ROOT_URLCONF="tests.web.django.api_urls"),
            pytest.raises(Exception, match=r"DW110.*Add '.*DoorwardMiddleware' to MIDDLEWARE"),
        ):
            a_browser().get("/who")
        account = an_account()
        with pytest.raises(DoorwardError, match=r"DW110.*Add '.*DoorwardMiddleware' to MIDDLEWARE"):
            signed_in(account)


def test_what_a_mistake_of_the_project_raises_stays_its_own() -> None:
    assert DoorwardMiddleware(done).process_exception(HttpRequest(), ValueError()) is None
    assert DoorwardMiddleware(done).process_exception(HttpRequest(), NotPermitted()) is not None
