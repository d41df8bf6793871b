"""What the tests serve with gunicorn: says who asks, and which process answers; opened before workers are forked."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from typing import Any

from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.tokens.statuses import take_number
from doorward.web.wsgi import AuthenticationMiddleware, Mounted

auth = Doorward(
    os.environ["WSGI_APP_DATABASE"],
    redis=os.environ.get("WSGI_APP_REDIS"),
    secret="the secret of a deployment in tests, long enough",
    strategy="hybrid",
    insecure_fast_hashing=True,
    rate_limits=False,
    status_lists=True,
    blocking=True,
)
run_blocking(auth.open())
# What a fork does not take along, and what it should not.
auth.keep_watch()
run_blocking(take_number(auth.deployment))


def who(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    time.sleep(0.02)  # so that the other worker gets the next
    principal, refusal = environ["doorward.principal"], environ["doorward.refusal"]
    start_response("200 OK", [("content-type", "application/json")])
    answer = {
        "process": os.getpid(),
        "session": principal and principal.session_id,
        "refusal": refusal and refusal.code,
    }
    return [json.dumps(answer).encode()]


app = Mounted(AuthenticationMiddleware(who, auth), auth, "/auth")
