"""What tests of an application, or of a store of one's own, are made with.

``FakeClock`` and ``SeededEntropy`` take the place of time and chance; ``an_account``, ``a_session`` and
``a_new_session`` make values of which a test names only what it is about.  ``doorward.testing.store_suite.StoreSuite``
checks a store; it needs pytest.  ``CookieClient`` keeps cookies as a browser does, against an ASGI application or a
server.
"""

from __future__ import annotations

from doorward.testing.clock import NOON, FakeClock
from doorward.testing.cookie_client import Answer, CookieClient
from doorward.testing.entropy import SeededEntropy
from doorward.testing.factories import a_new_session, a_session, a_signing_key, an_account, an_ending

__all__ = [
    "NOON",
    "Answer",
    "CookieClient",
    "FakeClock",
    "SeededEntropy",
    "a_new_session",
    "a_session",
    "a_signing_key",
    "an_account",
    "an_ending",
]
