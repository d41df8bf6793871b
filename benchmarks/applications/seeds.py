"""Whom an application that refreshes is to know, and how it hands sessions over.  It runs without Doorward too."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

DATABASE = os.environ.get("DATABASE", "")
"""``postgresql://USER@HOST:PORT/NAME``, empty at the start but for Doorward's tables."""

EMAILS = tuple(f"ada{number}@example.com" for number in range(int(os.environ.get("ACCOUNTS", "0"))))
"""Accounts that sign in by ``PASSWORD``."""

PASSWORD = "seven green kettles whistle at dawn"

OWNER = "owner@example.com"
"""The account of the sessions that are handed over."""

SESSIONS = int(os.environ.get("SESSIONS", "0"))
"""How many of them."""


def hand_over_tokens(tokens: Iterable[str]) -> None:
    """Say which credential each session is refreshed by; before the application serves."""
    Path(os.environ["TOKENS"]).write_text("".join(f"{token}\n" for token in tokens))
