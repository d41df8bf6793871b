"""Refresh tokens under Django, on PostgreSQL: simplejwt, or django-oauth-toolkit.

Both as their documentation has it for production: simplejwt rotates, keeps used tokens on its blacklist and compares
the password's hash; the toolkit rotates and has the protection against reuse that its deployment check asks for.
"""

import os
from datetime import timedelta
from secrets import token_urlsafe
from urllib.parse import urlsplit

import django
from credential import WAY
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from seeds import DATABASE, EMAILS, OWNER, PASSWORD, SESSIONS, hand_over_tokens

CLIENT = "client-of-the-benchmark"
_at = urlsplit(DATABASE)
_SIMPLEJWT = WAY == "simplejwt"
_OWN = (
    ["rest_framework", "rest_framework_simplejwt.token_blacklist"]
    if _SIMPLEJWT
    else ["rest_framework", "oauth2_provider"]
)

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="a key for benchmarks alone, of no use to anybody",
    # Checking passwords is not what is compared.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _at.path.strip("/"),
            "USER": _at.username,
            "HOST": _at.hostname,
            "PORT": _at.port,
            "CONN_MAX_AGE": 600,
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", *_OWN],
    MIDDLEWARE=[],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication"
            if _SIMPLEJWT
            else "oauth2_provider.contrib.rest_framework.OAuth2Authentication"
        ],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    SIMPLE_JWT={"ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True, "CHECK_REVOKE_TOKEN": True},
    OAUTH2_PROVIDER={
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": float(os.environ.get("GRACE", "0")),
        "PKCE_REQUIRED": True,
    },
)
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.hashers import make_password  # noqa: E402 -- once Django is set up
from django.contrib.auth.models import User  # noqa: E402
from rest_framework.decorators import api_view  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402

_hash = make_password(PASSWORD)
User.objects.bulk_create(User(username=email, email=email, password=_hash) for email in (OWNER, *EMAILS))
owner = User.objects.get(username=OWNER)


def home(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "world"})


@api_view(["GET"])
def me(request: Request) -> Response:
    return Response({"account": str(request.user.pk)})


@api_view(["POST"])
def password(request: Request) -> Response:
    """Django's own way of changing it."""
    request.user.set_password(request.data["new_password"])
    request.user.save()
    return Response({})


if _SIMPLEJWT:
    from rest_framework_simplejwt.tokens import RefreshToken
    from rest_framework_simplejwt.views import TokenBlacklistView, TokenObtainPairView, TokenRefreshView

    hand_over_tokens(str(RefreshToken.for_user(owner)) for _ in range(SESSIONS))
    own = [
        path("token", TokenObtainPairView.as_view()),
        path("token/refresh", TokenRefreshView.as_view()),
        path("token/blacklist", TokenBlacklistView.as_view()),
    ]
else:
    from django.utils import timezone
    from oauth2_provider.models import AccessToken, Application, RefreshToken

    client = Application.objects.create(
        client_id=CLIENT,
        client_type=Application.CLIENT_PUBLIC,
        authorization_grant_type=Application.GRANT_PASSWORD,
        client_secret="",
        name="the benchmark",
    )

    def new_session() -> str:
        expires = timezone.now() + timedelta(hours=10)
        access = AccessToken.objects.create(
            user=owner, application=client, token=token_urlsafe(24), expires=expires, scope="read write"
        )
        refresh = RefreshToken(user=owner, application=client, token=token_urlsafe(24), access_token=access)
        refresh.save()
        return refresh.token

    hand_over_tokens([new_session() for _ in range(SESSIONS)])
    own = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]

urlpatterns = [path("", home), path("me", me), path("password", password), *own]
app = get_wsgi_application()
