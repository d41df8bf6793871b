"""The suite that every store passes, races included; public, so that you can check one of your own.

    from doorward.testing import FakeClock
    from doorward.testing.store_suite import StoreSuite

    class TestMyStore(StoreSuite):
        def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
            return MyStore(clock=clock)

It needs pytest with anyio's plugin, and hypothesis.  To see the values of an assertion that fails, call
``pytest.register_assert_rewrite("doorward.testing.store_suite")`` in your ``conftest.py``.
"""

from __future__ import annotations

from doorward.testing.store_suite.accounts import AccountCases
from doorward.testing.store_suite.housekeeping import HousekeepingCases
from doorward.testing.store_suite.keys import KeyCases
from doorward.testing.store_suite.numbers import NumberCases
from doorward.testing.store_suite.races import RaceCases
from doorward.testing.store_suite.revocations import RevocationCases
from doorward.testing.store_suite.rotation import RotationCases
from doorward.testing.store_suite.sessions import SessionCases
from doorward.testing.store_suite.trail import TrailCases
from doorward.testing.store_suite.verifiers import VerifierCases


class StoreSuite(
    AccountCases,
    SessionCases,
    RotationCases,
    RevocationCases,
    NumberCases,
    KeyCases,
    VerifierCases,
    TrailCases,
    HousekeepingCases,
    RaceCases,
):
    """All that a store has to do.  Subclass it, and say with ``make_store`` how to make yours, new and empty."""
