"""What ``doorward serve`` says when it is ready: where it is, where things are kept, and three lines to try."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from doorward.options import Strategy
from doorward.server.settings import Settings
from doorward.stores import place_of, place_of_sessions

_WHO = '{"email":"ada@example.com","password":"a-long-walk-by-the-sea"}'
_JSON = "-H 'Content-Type: application/json'"
_READ_TOKEN = """python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'"""  # noqa: S105 -- a command


def lines_to_try(address: str, strategy: Strategy) -> tuple[str, str, str]:
    """Sign up, sign in, who am I: for a shell, in this order.

    curl takes loopback for a secure place, so a ``Secure`` cookie travels here without TLS.
    """
    up = f"curl -s {address}/v1/accounts {_JSON} -d '{_WHO}'; echo"
    sign_in = f"{address}/v1/sessions {_JSON} -d '{_WHO}'"
    who = f"{address}/v1/sessions/current"
    if strategy == "session":
        return up, f"curl -s -c doorward.cookies {sign_in}", f"curl -s -b doorward.cookies {who}"
    return up, f"TOKEN=$(curl -s {sign_in} | {_READ_TOKEN})", f'curl -s {who} -H "Authorization: Bearer $TOKEN"'


def banner(settings: Settings, *, secret_file: Path | None) -> str:
    """The whole text."""
    up, sign_in, who = lines_to_try(settings.address, settings.strategy)
    if settings.sign_up == "closed":
        up = "doorward accounts create ada@example.com"
    facts = "\n".join(f"  {name:<10}{value}" for name, value in _facts(settings, secret_file))
    return f"""
Doorward serves on {settings.address}

{facts}

Try it:

# sign up
{up}
# sign in
{sign_in}
# who am I
{who}
"""


def _facts(settings: Settings, secret_file: Path | None) -> Iterator[tuple[str, str]]:
    yield "strategy", settings.strategy
    if (settings.issuer or settings.address) != settings.address:
        yield "issuer", str(settings.issuer)
    yield "data", place_of(settings.database)
    if settings.redis_url is not None:
        yield "sessions", place_of_sessions(settings.redis_url.reveal())
    if settings.secret:
        yield "secret", "given in the settings"
    else:
        yield "secret", str(secret_file.absolute()) if secret_file else "made for this run alone"
    if settings.pages:
        yield "pages", f"{settings.address}/{'sign-up' if settings.sign_up == 'open' else 'sign-in'}"
    if settings.lab:
        yield "lab", f"{settings.address}/lab"
    if settings.workers > 1:
        yield "workers", str(settings.workers)
