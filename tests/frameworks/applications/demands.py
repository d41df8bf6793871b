"""What the routes of every application demand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

WANTED: dict[tuple[str, str], dict[str, Any]] = {
    ("GET", "/me"): {},
    ("POST", "/notes"): {},
    ("GET", "/reports"): {"roles": {"analyst"}},
    ("GET", "/drafts"): {"scopes": {"write"}},
    ("GET", "/vault"): {"fresh": timedelta(minutes=5)},
    ("POST", "/transfers"): {"revocation": "immediate"},
}
