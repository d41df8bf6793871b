"""What the tests serve beside the monolith: Django REST framework."""

from typing import Any

from django.urls import include, path
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from doorward.web.django.drf import DoorwardAuthentication


class Who(APIView):
    authentication_classes = (DoorwardAuthentication,)
    permission_classes = (IsAuthenticated,)
    renderer_classes = (JSONRenderer,)

    def get(self, request: Request) -> Response:
        user: Any = request.user
        principal: Any = request.auth
        return Response({"email": user.email, "session": principal.session_id})

    post = get


class Anybody(APIView):
    authentication_classes = (DoorwardAuthentication,)
    permission_classes = ()
    renderer_classes = (JSONRenderer,)

    def get(self, request: Request) -> Response:
        return Response({"known": bool(request.user and request.user.is_authenticated)})


urlpatterns = [
    path("who", Who.as_view()),
    path("anybody", Anybody.as_view()),
    path("auth/", include("doorward.web.django.urls")),
]
