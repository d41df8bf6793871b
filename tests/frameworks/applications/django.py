"""The application on Django, for a server that imports ``app``; its settings are in the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, JsonResponse
from django.urls import include, path

from doorward.options import Strategy
from tests.frameworks.applications.demands import WANTED
from tests.frameworks.clock import SharedClock
from tests.frameworks.options import go_by
from tests.frameworks.options import settings as all_settings

_file = os.environ.get("APPLICATION_DATABASE")
_given = all_settings(cast("Strategy", os.environ["APPLICATION_STRATEGY"]), issuer=os.environ["APPLICATION_ADDRESS"])
if _file is not None:
    del _given["database"]  # it is in Django's own
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={} if _file is None else {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _file}},
    DOORWARD={name.upper(): value for name, value in _given.items()},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "doorward.web.django"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "doorward.web.django.middleware.DoorwardMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    USE_TZ=True,
)
django.setup()

from doorward.web.django.conf import deployment  # noqa: E402 -- wants the settings
from doorward.web.django.decorators import requires  # noqa: E402

go_by(SharedClock(Path(os.environ["APPLICATION_CLOCK"])), deployment())


def greeting(request: Any) -> HttpResponse:
    return JsonResponse({"known": request.principal is not None})


def whoever(request: Any) -> HttpResponse:
    return JsonResponse({"account": request.principal.subject, "session": request.principal.session_id})


def by_method(method: str, wanted: dict[str, Any]) -> Any:
    guarded = requires(**wanted)(whoever)

    def view(request: HttpRequest) -> HttpResponse:
        return guarded(request) if request.method == method else HttpResponseNotFound()

    return view


urlpatterns = [
    path("greeting", greeting),
    *(path(place.lstrip("/"), by_method(method, wanted)) for (method, place), wanted in WANTED.items()),
    path("auth/", include("doorward.web.django.urls")),
]
app = get_wsgi_application()
