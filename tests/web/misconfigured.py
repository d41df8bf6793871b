"""What no deployment may be made of, in whatever framework, by the names of the options."""

from __future__ import annotations

from typing import Any

WITHOUT_A_SECRET = "postgresql://doorward@127.0.0.1:1/doorward"

MISCONFIGURED: list[tuple[dict[str, Any], str]] = [
    ({"access_lifetime": 86_400}, r"DW010: .* Use 60 to 900 s"),
    ({"signing_algorithm": "HS256", "audience": "payments"}, r"DW011: .* Use ES256"),
    ({"cors_origins": ["*"]}, r"DW040: .* credentials want no wildcard"),
    ({"cors_origins": ["https://*.example.com"]}, r"DW040: .* credentials want no wildcard"),
    ({"secret": "short"}, r"DW003: .* Make one with"),
    ({"secret": ""}, r"DW003: .* Make one with"),
]
"""With what is told: the id, and the remedy."""

NOT_TO_BE_ASKED_FOR = ("cookie_samesite", "cookie_domain", "cookie_secure")
"""Options that would let a cookie go further, and that there are not."""
