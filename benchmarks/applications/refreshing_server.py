"""``doorward serve`` with its defaults, with sessions to be refreshed."""

from __future__ import annotations

import os
import sys

from refreshed import SECRET, sign_everybody_up
from seeds import DATABASE

sign_everybody_up()
settings = {
    "DATABASE": DATABASE,
    "SECRET": SECRET,
    "RATE_LIMITS": "off",
    "INSECURE_FAST_HASHING": "on",
    **({"REFRESH_GRACE": os.environ["GRACE"]} if "GRACE" in os.environ else {}),
}
os.environ.update({f"DOORWARD_{name}": value for name, value in settings.items()})
start = "from doorward.cli import main; main()"
os.execv(sys.executable, [sys.executable, "-c", start, "serve", "--port", os.environ["PORT"]])
