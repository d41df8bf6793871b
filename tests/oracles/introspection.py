"""A client of token introspection, written from RFC 7662 and what it refers to, and from nothing of ours."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode


def question(
    token: str, *, client_id: str | None = None, secret: str, hint: str | None = None
) -> tuple[dict[str, str], bytes]:
    """Headers and body of the POST (section 2.1).

    With a client id it authenticates as RFC 6749 section 2.3.1 says, else with a separate access token (RFC 6750).
    """
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if client_id is None:
        headers["Authorization"] = f"Bearer {secret}"
    else:
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    form = {"token": token} | ({"token_type_hint": hint} if hint is not None else {})
    return headers, urlencode(form).encode()


class NotAnswered(Exception):
    """Section 2.3: the protected resource is not authorized, or did not authenticate."""


def read_answer(status: int, headers: Mapping[str, str], body: bytes, *, scheme: str) -> dict[str, Any] | None:
    """What is said of an active token; None for one that is not (section 2.2)."""
    if status == 401:
        # RFC 6749 section 5.2: the challenge matches the scheme that the client used.
        assert headers["www-authenticate"].partition(" ")[0].lower() == scheme.lower()
        raise NotAnswered
    assert status == 200
    assert headers["content-type"].partition(";")[0] == "application/json"
    said = json.loads(body)
    assert isinstance(said, dict)
    assert isinstance(said["active"], bool)
    if not said["active"]:
        # "SHOULD NOT include any additional information about an inactive token, including why."
        assert said == {"active": False}
        return None
    strings = {"scope", "client_id", "username", "token_type", "sub", "iss", "jti"}
    assert all(isinstance(said[name], str) for name in strings & said.keys())
    assert all(isinstance(said[name], int) for name in {"exp", "iat", "nbf"} & said.keys())
    if "aud" in said:
        assert isinstance(said["aud"], str | list)
    return said
