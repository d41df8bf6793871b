"""What tests of an application, or of a store of one's own, are made with.

``FakeClock`` and ``SeededEntropy`` take the place of time and chance; ``an_account``, ``a_session`` and
``a_new_session`` make values of which a test names only what it is about.  ``doorward.testing.store_suite.StoreSuite``
checks a store; it needs pytest.  ``CookieClient`` keeps cookies as a browser does, against an ASGI application or a
server; ``UnreliableClient`` is one whose replies get lost, and ``Visitor`` one that has signed in.

The fixtures of ``doorward.testing.plugin`` hand these to the tests of an application
(docs/guides/testing-your-application.md).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doorward.testing.clock import NOON, FakeClock
    from doorward.testing.cookie_client import Answer, CookieClient
    from doorward.testing.entropy import SeededEntropy
    from doorward.testing.factories import a_new_session, a_session, a_signing_key, an_account, an_ending
    from doorward.testing.stage import rehearsal
    from doorward.testing.visitor import InFlight, UnreliableClient, Visitor

__all__ = [
    "NOON",
    "Answer",
    "CookieClient",
    "FakeClock",
    "InFlight",
    "SeededEntropy",
    "UnreliableClient",
    "Visitor",
    "a_new_session",
    "a_session",
    "a_signing_key",
    "an_account",
    "an_ending",
    "rehearsal",
]

_HOME = {
    "NOON": "clock",
    "Answer": "cookie_client",
    "CookieClient": "cookie_client",
    "FakeClock": "clock",
    "InFlight": "visitor",
    "SeededEntropy": "entropy",
    "UnreliableClient": "visitor",
    "Visitor": "visitor",
    "a_new_session": "factories",
    "a_session": "factories",
    "a_signing_key": "factories",
    "an_account": "factories",
    "an_ending": "factories",
    "rehearsal": "stage",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: pytest loads the plugin in every run, whether it is used or not."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"doorward.testing.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
