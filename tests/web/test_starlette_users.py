"""What the adapters for Starlette and FastAPI share."""

from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from doorward.web.starlette_users import Below

APP = PlainTextResponse("here")


@pytest.mark.parametrize("prefix", ["", "/auth", "/a/auth", "/{tenant}/auth", "/of/{tenant}/auth/"])
@pytest.mark.parametrize("root_path", ["", "/app"])
@pytest.mark.parametrize(
    "path", ["/", "/auth", "/auth/v1/me", "/author", "/a/auth/x", "/me", "/of/ada/auth/v1", "/app/auth/x"]
)
def test_what_is_below_a_prefix_is_what_starlette_says(prefix: str, root_path: str, path: str) -> None:
    scope = {"type": "http", "path": path, "root_path": root_path}
    assert Below(prefix, app=APP).matches(scope) == Mount(prefix, app=APP).matches(scope)
