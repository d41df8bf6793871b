"""Password hashes of other frameworks, made by those frameworks themselves."""

from __future__ import annotations

import hashlib
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher
from django.contrib.auth import hashers
from werkzeug.security import generate_password_hash

from doorward.accounts.model import ImportedAccount
from doorward.audit.model import Actor, Origin
from doorward.authenticators.imported import MOST_ITERATIONS, import_hash, is_imported, parse_imported
from doorward.authenticators.password import INSECURE_FAST, InlineHashing
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import Busy, EmailTaken, InvalidCredentials, Unavailable, ValidationFailed
from doorward.secret import Secret

# With what NFKC would change: other systems hash what was typed.
PASSWORD = "ﬁve ｇreen kettles"
SALT = "c2VhIHNhbHQ"


def with_bcrypt(raw: bytes) -> str:
    return bcrypt.hashpw(raw, bcrypt.gensalt(4)).decode()


def hashes_of(password: str) -> dict[str, str]:
    pbkdf2: Any = hashers.PBKDF2PasswordHasher()
    sha1: Any = hashers.PBKDF2SHA1PasswordHasher()
    scrypt: Any = hashers.ScryptPasswordHasher()
    argon2 = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)
    prehashed = hashlib.sha256(password.encode()).hexdigest().encode()
    return {
        "Django, PBKDF2 with SHA-256": pbkdf2.encode(password, SALT, iterations=1000),
        "Django, PBKDF2 with SHA-1": sha1.encode(password, SALT, iterations=1000),
        "Django, scrypt": scrypt.encode(password, SALT, n=1024),
        "Django, argon2": f"argon2{argon2}",
        "Django, bcrypt": f"bcrypt${with_bcrypt(password.encode())}",
        "Django, bcrypt of SHA-256": f"bcrypt_sha256${with_bcrypt(prehashed)}",
        "Werkzeug, scrypt": generate_password_hash(password, "scrypt:1024:8:1"),
        "Werkzeug, PBKDF2": generate_password_hash(password, "pbkdf2:sha256:1000"),
        "Werkzeug, PBKDF2 with SHA-512": generate_password_hash(password, "pbkdf2:sha512:1000"),
        "pwdlib, argon2": argon2,
        "pwdlib, bcrypt": with_bcrypt(password.encode()),
        "passlib, bcrypt of PHP": with_bcrypt(password.encode()).replace("$2b$", "$2y$"),
    }


HASHES = hashes_of(PASSWORD)


@pytest.fixture
def auth() -> Any:
    auth = Doorward("memory:", strategy="session", insecure_fast_hashing=True, rate_limits=False, blocking=True)
    run_blocking(auth.open())
    yield auth
    run_blocking(auth.close())


def opened(auth: Doorward, password_hash: str | None, email: str = "ada@example.com") -> str:
    given = Secret(password_hash) if password_hash is not None else None
    account = ImportedAccount(email=email, password_hash=given, roles=("admin",), email_verified=True)
    return run_blocking(auth.import_account(account, actor=Actor())).id


def sign_in(auth: Doorward, password: str) -> str:
    signed_in = run_blocking(
        auth.sign_in(email="ada@example.com", password=Secret(password), origin=Origin(ip="10.0.0.7"))
    )
    return signed_in.account.id


def hash_of(auth: Doorward, account: str) -> str:
    kept = run_blocking(auth.account(account)).password_hash
    assert kept is not None
    return kept.reveal()


@pytest.mark.parametrize("made", HASHES.values(), ids=HASHES)
def test_an_imported_password_signs_in_and_has_a_hash_of_ours_from_then_on(auth: Doorward, made: str) -> None:
    account = opened(auth, made)
    assert is_imported(Secret(hash_of(auth, account)))
    for wrong in (PASSWORD + "!", PASSWORD.upper(), "", made):
        with pytest.raises(InvalidCredentials):
            sign_in(auth, wrong)
    assert is_imported(Secret(hash_of(auth, account)))
    assert sign_in(auth, PASSWORD) == account
    assert hash_of(auth, account).startswith("$argon2id$")
    assert sign_in(auth, PASSWORD) == account
    # From now on as any password: however the keyboard writes it.
    assert sign_in(auth, "five green kettles") == account


def test_a_password_that_nobody_could_choose_here_goes_on_working(auth: Doorward) -> None:
    account = opened(auth, generate_password_hash("short", "pbkdf2:sha256:1000"))
    for _ in range(2):
        assert sign_in(auth, "short") == account
        assert is_imported(Secret(hash_of(auth, account)))


def test_what_bcrypt_does_not_look_at_is_left_out_as_where_it_was_made(auth: Doorward) -> None:
    long = "x" * 80
    account = opened(auth, bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode())
    assert sign_in(auth, long) == account


def test_an_account_without_a_password_signs_nobody_in(auth: Doorward) -> None:
    opened(auth, None)
    with pytest.raises(InvalidCredentials):
        sign_in(auth, "")


def test_an_address_that_has_an_account_is_left_alone(auth: Doorward) -> None:
    made = generate_password_hash("another password", "pbkdf2:sha256:1000")
    account = opened(auth, HASHES["pwdlib, argon2"])
    with pytest.raises(EmailTaken):
        opened(auth, made, "ADA@example.com")
    assert sign_in(auth, PASSWORD) == account


B64 = "c2l4dGVlbiBieXRlcyBvciBtb3JlIG9mIGl0"
HEX = "ab" * 32


@pytest.mark.parametrize(
    "made",
    [
        "",
        "plain text",
        "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
        "unsalted_sha1$$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
        "!unusable",
        # Work
        f"pbkdf2_sha256${MOST_ITERATIONS + 1}$salt${B64}",
        f"pbkdf2:sha256:{MOST_ITERATIONS + 1}$salt${HEX}",
        f"pbkdf2_sha256${'9' * 500}$salt${B64}",
        f"scrypt:4194304:8:1$salt${HEX}",
        f"scrypt:32768:8:64$salt${HEX}",
        f"scrypt$1048576$salt$64$64${B64}",
        "$2b$16$" + "x" * 53,
        "argon2$argon2id$v=19$m=2097152,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        # Shape
        f"pbkdf2_md5$1000$salt${B64}",
        "pbkdf2_sha256$1000$salt$",
        "pbkdf2_sha256$1000$salt$YQ==",
        "pbkdf2_sha256$1000$salt$not base64",
        f"pbkdf2_sha256$0$salt${B64}",
        f"pbkdf2_sha256$-1$salt${B64}",
        f"pbkdf2_sha256$١٠٠٠$salt${B64}",
        f"pbkdf2:sha256$salt${HEX}",
        f"scrypt:1000:8:1$salt${HEX}",
        f"scrypt:1:8:1$salt${HEX}",
        f"scrypt:1024:8$salt${HEX}",
        "$2b$12$short",
        "$2x$12$" + "x" * 53,
        "$argon2id$v=19$broken",
        f"pbkdf2_sha256$1000${'s' * 2000}${B64}",
    ],
)
def test_a_hash_that_is_none_or_asks_for_absurd_work_is_refused_without_being_repeated(made: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        import_hash(made)
    assert not made or made not in str(refused.value)


def test_a_stored_hash_of_absurd_work_is_not_computed_either(caplog: pytest.LogCaptureFixture) -> None:
    hashing = InlineHashing(INSECURE_FAST)
    stored = Secret(f"pbkdf2_sha256${10**9}$salt${B64}")
    assert parse_imported(stored) is None
    assert not run_blocking(hashing.verify(Secret(PASSWORD), stored))
    assert "malformed" in caplog.text


def test_they_are_checked_where_all_passwords_are_and_no_more_of_them_at_once() -> None:
    hashing = InlineHashing(INSECURE_FAST, workers=1, queue=0)
    hashing._take_place()
    with pytest.raises(Busy):
        run_blocking(hashing.verify(Secret(PASSWORD), Secret(HASHES["Django, PBKDF2 with SHA-256"])))


@pytest.mark.parametrize("typed", ["x" * 1025, "\ud800" * 8, "a\0b"])
def test_what_can_be_nobodys_password_is_a_wrong_one(typed: str) -> None:
    for made in HASHES.values():
        imported = parse_imported(import_hash(made))
        assert imported is not None
        assert not imported.matches(Secret(typed))


def test_where_the_package_for_bcrypt_is_missing_nobody_is_told_that_the_password_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bcrypt", None)
    imported = parse_imported(import_hash(HASHES["pwdlib, bcrypt"]))
    assert imported is not None
    with pytest.raises(Unavailable, match=r"pip install 'doorward\[bcrypt\]'"):
        imported.matches(Secret(PASSWORD))


def test_no_hash_is_shown() -> None:
    made = HASHES["pwdlib, bcrypt"]
    account = ImportedAccount(email="ada@example.com", password_hash=Secret(made))
    assert made not in repr(account) + repr(parse_imported(import_hash(made)))
