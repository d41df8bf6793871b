"""Accounts and browsers for the tests of Django."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test import Client, override_settings

from doorward.accounts.model import Account
from doorward.audit.model import Actor
from doorward.secret import Secret
from doorward.web.django import guards
from doorward.web.django.conf import run

PASSWORD = "a walrus in seven teapots"
OWN_PAGE = {"sec-fetch-site": "same-origin"}
FOREIGN = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
_numbers = count(1)


class QuickHasher(PBKDF2PasswordHasher):
    """Django's own hashing without the work that makes it safe."""

    iterations = 1000


QUICK = {"PASSWORD_HASHERS": ["tests.web.django.people.QuickHasher"]}


def an_email() -> str:
    return f"somebody-{next(_numbers)}@example.com"


def an_account(*roles: str, email: str | None = None) -> Account:
    email = email or an_email()
    return run(lambda auth: auth.sign_up(email=email, password=Secret(PASSWORD), roles=roles, actor=Actor()))


def a_browser(**options: Any) -> Client:
    return Client(headers=OWN_PAGE, **options)


def signed_in(account: Account) -> Client:
    """A browser in which the account has signed in by Django's own form."""
    browser = a_browser()
    answer = browser.post("/sign-in/", {"username": account.email, "password": PASSWORD})
    assert answer.status_code == 302, answer.content
    return browser


async def forget_guards() -> None:
    """Close what stands beside the deployment for connections that stay open."""
    for _, auth in guards._of_loops.values():
        await auth.close()
    guards._of_loops.clear()


@contextmanager
def configured(**options: Any) -> Iterator[None]:
    """Another deployment, in memory, while the block runs."""
    settings = {"DATABASE": "memory:", "STRATEGY": "session", "INSECURE_FAST_HASHING": True, "RATE_LIMITS": False}
    with override_settings(DOORWARD={**settings, **options}):
        yield
