"""Django's own sessions in its database, or Django REST Framework with simplejwt; on SQLite, by their defaults."""

import django
from credential import WAY, hand_over
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "testserver"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="a key for benchmarks alone, of no use to anybody",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.db", "CONN_MAX_AGE": 60}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    if WAY == "sessions"
    else [],
)
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.models import User  # noqa: E402 -- once Django is set up

user = User.objects.create_user("ada", "ada@example.com", "seven green kettles")


def home(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "world"})


if WAY == "sessions":
    from django.contrib.auth.views import LoginView
    from django.test import Client

    def me(request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return HttpResponse(status=401)
        return JsonResponse({"account": str(request.user.pk), "session": ""})

    client = Client()
    client.force_login(user)
    hand_over(f"Cookie: sessionid={client.cookies['sessionid'].value}")
else:
    from rest_framework.decorators import api_view, authentication_classes, permission_classes, renderer_classes
    from rest_framework.permissions import IsAuthenticated
    from rest_framework.renderers import JSONRenderer
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework_simplejwt.authentication import JWTAuthentication
    from rest_framework_simplejwt.tokens import AccessToken

    @api_view(["GET"])
    @authentication_classes([JWTAuthentication])
    @permission_classes([IsAuthenticated])
    @renderer_classes([JSONRenderer])
    def me(request: Request) -> Response:
        return Response({"account": str(request.user.pk), "session": ""})

    hand_over(f"Authorization: Bearer {AccessToken.for_user(user)}")

urlpatterns = [path("", home), path("me", me)]
if WAY == "sessions":
    urlpatterns.append(path("login", LoginView.as_view(next_page="/")))
app = get_wsgi_application()
