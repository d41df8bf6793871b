"""How an application tells the benchmark what to be asked with.  It runs without Doorward too, beside the peers."""

from __future__ import annotations

import os
from pathlib import Path

WAY = os.environ["WAY"]
"""Which way of authenticating this process is to have; ``none`` is without."""

WHO = {"account": "acc_0123456789abcdefghij", "session": "ses_0123456789abcdefghij"}
"""What ``/me`` answers without authentication: as long as what it answers with."""


def hand_over(*headers: str) -> None:
    """Say which header a signed-in caller sends, or several of the same name; before the application serves."""
    Path(os.environ["CREDENTIAL"]).write_text("\n".join(headers))
