"""A command-line client that stays signed in, and of which several may run at once.

    python command_line_client.py sign-in ada@example.com    asks for the password
    python command_line_client.py whoami
    python command_line_client.py sign-out

The refresh token is in the system's keyring with CLIENT_KEYRING=1 (``pip install keyring``), else in a file that nobody
else may read.  Whoever renews it holds a lock meanwhile: the others wait, and find it renewed.
"""

import fcntl
import getpass
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SERVER = os.environ.get("CLIENT_SERVER", "http://127.0.0.1:8000")
FILE = Path(os.environ.get("CLIENT_FILE", "~/.config/doorward-example/credential.json")).expanduser()
IN_KEYRING = os.environ.get("CLIENT_KEYRING") == "1"
RENEW_BEFORE_SECONDS = 30


def main() -> None:
    match sys.argv[1:]:
        case ["sign-in", email]:
            password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
            body = json.dumps({"email": email, "password": password, "label": "command line"}).encode()
            with locked():
                keep(call("POST", "/v1/sessions", body, {"content-type": "application/json"}))
            print(f"signed in as {email}")
        case ["whoami"]:
            print(call("GET", "/v1/sessions/current", None, bearer())["account"]["email"])
        case ["sign-out"]:
            call("DELETE", "/v1/sessions/current", None, bearer())
            with locked():
                write(None)
            print("signed out")
        case _:
            sys.exit(__doc__)


def bearer() -> dict[str, str]:
    """The header that authenticates a call: from what is kept, renewed where it runs out."""
    with locked():
        # Read under the lock: whoever had it before may have renewed it.
        kept = read()
        if kept is None:
            sys.exit("Sign in first.")
        if time.time() > kept["renew_at"]:
            kept = renew(kept)
    return {"authorization": f"Bearer {kept['access_token']}"}


def renew(kept: dict[str, Any]) -> dict[str, Any]:
    # The key is written before the request: whoever is killed in the middle of it repeats the same attempt.
    attempt = kept.setdefault("attempt", str(uuid.uuid4()))
    write(kept)
    form = {"grant_type": "refresh_token", "refresh_token": kept["refresh_token"]}
    body = urllib.parse.urlencode(form).encode()
    return keep(call("POST", "/v1/token", body, {"idempotency-key": attempt}))


def keep(answer: dict[str, Any]) -> dict[str, Any]:
    kept = {
        "access_token": answer["access_token"],
        "refresh_token": answer["refresh_token"],
        "renew_at": time.time() + answer["expires_in"] - RENEW_BEFORE_SECONDS,
    }
    write(kept)
    return kept


# Where it is kept


@contextmanager
def locked() -> Iterator[None]:
    """One process at a time; a lock that its holder takes along when it dies."""
    FILE.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(FILE.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def read() -> dict[str, Any] | None:
    if IN_KEYRING:
        import keyring

        text = keyring.get_password("doorward-example", SERVER)
    else:
        text = FILE.read_text() if FILE.exists() else None
    return json.loads(text) if text else None


def write(kept: dict[str, Any] | None) -> None:
    text = json.dumps(kept) if kept is not None else ""
    if IN_KEYRING:
        import keyring

        keyring.set_password("doorward-example", SERVER, text)
        return
    # Whole or not at all, and readable by nobody else at any time.
    new = os.open(FILE.with_suffix(".new"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(new, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    FILE.with_suffix(".new").replace(FILE)


def call(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(SERVER + path, body, headers, method=method)
    for again in range(5):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            if error.code == 503 and again < 4:
                # Not known, or too early to tell: nobody is signed out for that.
                time.sleep(int(error.headers.get("retry-after", 1)))
                continue
            answer = json.loads(error.read() or b"{}")
            sys.exit(answer.get("detail") or answer.get("error_description") or str(error))
    raise AssertionError


if __name__ == "__main__":
    main()
