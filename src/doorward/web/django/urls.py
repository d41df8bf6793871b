"""The HTTP contract: ``path("auth/", include("doorward.web.django.urls"))``."""

from __future__ import annotations

from django.urls import re_path

from doorward.web.django.views import contract

app_name = "doorward"
urlpatterns = [re_path(r"^(?P<path>.*)$", contract, name="contract")]
