"""Django, without authentication or with Doorward's middleware."""

from __future__ import annotations

from typing import Any

import django
from credential import WAY, WHO
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

# What nearly every project has, with authentication or without: it costs a look at the connections with each request.
_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
_SETTINGS: dict[str, Any] = {}
if WAY != "none":
    from deployment import DATABASE, OPTIONS, SECRET, sign_in

    sign_in()
    _APPS.append("doorward.web.django")
    _SETTINGS = {
        "MIDDLEWARE": ["doorward.web.django.middleware.DoorwardMiddleware"],
        "DOORWARD": {"DATABASE": DATABASE, "SECRET": SECRET, **{name.upper(): each for name, each in OPTIONS.items()}},
    }

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=_APPS,
    SECRET_KEY="a key for benchmarks alone, of no use to anybody",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.db", "CONN_MAX_AGE": 60}},
    **_SETTINGS,
)
django.setup()


def home(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "world"})


if WAY == "none":

    def me(request: Any) -> JsonResponse:  # noqa: ARG001 -- as the other
        return JsonResponse(WHO)

else:
    from doorward.web.django.decorators import requires

    @requires()
    def me(request: Any) -> JsonResponse:
        return JsonResponse({"account": request.principal.subject, "session": request.principal.session_id})


urlpatterns = [path("", home), path("me", me)]
app = get_wsgi_application()
