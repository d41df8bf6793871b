"""What a process of its own shows: what is imported, what the base install is enough for, and forks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verifier.issuer import CREDENTIAL, Issuer

ROOT = Path(__file__).parents[2]

# What the base install brings; everything else that is installed here is kept away.
BASE_ALONE = """
import sys
from importlib.abc import MetaPathFinder

BASE = {"doorward", "joserfc", "msgspec", "cryptography", "cffi", "_cffi_backend", "typing_extensions"}


class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        top = name.partition(".")[0]
        if top not in BASE and top not in sys.stdlib_module_names and not top.startswith(("_", "sysconfig")):
            raise ModuleNotFoundError(f"{name} is not in the base install", name=name)


sys.meta_path.insert(0, Missing())
"""

VERIFY = """
import sys
from doorward import Verifier
from doorward.errors import InvalidToken

issuer, token, other = sys.argv[1:]
with Verifier(issuer=issuer, audience="payments", insecure_http=True) as verifier:
    assert verifier.verify(token, revocation="immediate").subject == "acc_ada"
    try:
        verifier.verify(other)
    except InvalidToken:
        print("verified")
"""

FORK = """
import os, sys, time
from doorward.verifier import NotFresh, Verifier

issuer, token, other = sys.argv[1:]
verifier = Verifier(issuer=issuer, audience="payments", insecure_http=True)
verifier.start()
verifier.verify(token, revocation="immediate")
child = os.fork()
if child == 0:
    code = 1
    try:
        # It knows no more how fresh it is, and what its parent knew is there.
        state = verifier.state
        assert (state.state, state.live_revocations, state.keys, state.tokens_remembered) == ("cold", 1, 1, 0), state
        for _ in range(4000):
            try:
                verifier.verify(token, revocation="immediate")
                code = 0
                break
            except NotFresh:
                time.sleep(0.005)
        verifier.close()
    finally:
        os._exit(code)
_, status = os.waitpid(child, 0)
assert verifier.verify(token, revocation="immediate")
verifier.close()
print("verified" if os.waitstatus_to_exitcode(status) == 0 else "the child failed")
"""

MODULES = "import sys, doorward.verifier; print(' '.join(sys.modules))"


def python(code: str, *arguments: str) -> str:
    environment = {**os.environ, "DOORWARD_VERIFIER_CREDENTIAL": CREDENTIAL, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("code", [BASE_ALONE + VERIFY, FORK], ids=["base install", "fork"])
def test_it_verifies(issuer: Issuer, code: str) -> None:
    issuer.revoke(name="ses_2")
    assert python(code, issuer.address, issuer.a_token(), issuer.a_token(sid="ses_2")) == "verified"


def test_importing_it_brings_neither_the_accounts_nor_what_is_slow() -> None:
    brought = set(python(MODULES).split())
    slow = {"joserfc", "sqlalchemy", "argon2", "pydantic", "starlette", "http.client", "doorward.doorward"}
    assert brought.isdisjoint(slow)
    assert not any(name.startswith(("doorward.accounts", "doorward.sessions", "doorward.stores")) for name in brought)


@pytest.mark.parametrize("framework", ["litestar", "starlette"])
def test_a_service_in_a_framework_needs_nothing_of_the_accounts(framework: str) -> None:
    code = f"import sys, doorward.web.verifier.{framework}; print(' '.join(sys.modules))"
    assert {"sqlalchemy", "argon2", "doorward.doorward"}.isdisjoint(python(code).split())
