"""Password hashes of other frameworks, made by those frameworks themselves."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher
from django.contrib.auth import hashers
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.security import generate_password_hash

from doorward.accounts.model import ImportedAccount
from doorward.audit.model import Actor, Origin
from doorward.authenticators import derivation
from doorward.authenticators.derivation import MOST_ITERATIONS, Argon2, Derivation, UnusableHash
from doorward.authenticators.encoded import read_hash
from doorward.authenticators.imported import import_hash
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


# Of the same password, by libraries that are not installed here.
MADE_ELSEWHERE = {
    "Better Auth 1.7": "08ca447e4ae2310eabbd0fcb3d0d0bab:965eea965764bd3786aff5d38d8ed411f56f3ced9d5ef03818040651"
    "78f5696b2fd95e66dcd35e482bb43b2d68b30165da2cc6ae27f5174a9a167aafa9950c5a",
    "passlib 1.7, PBKDF2 with SHA-1": "$pbkdf2$1000$/9/7PwfA.B/jnHOuNUYoxQ$Kw.E5gEKrZM/aa5fusbOp4ED35U",
    "passlib 1.7, PBKDF2 with SHA-256": "$pbkdf2-sha256$1000$tdb6P4cQonTOeQ9ByFkLIQ"
    "$ZShqlcUGwMKkk1A/KPWEzsTuPzl46aWst14BEOT3Veg",
    "passlib 1.7, PBKDF2 with SHA-512": "$pbkdf2-sha512$1000$JCQEIKT0/j9nzBlDaG1NqQ"
    "$jSxENb2LmtA7a2Q7thh2tu7e2JEwpdtr1FPDErKrO5za61D6gO5Xg.LC0LDUZSqNMJKviHuGR2RYxL34/TNIMw",
    "passlib 1.7, scrypt": "$scrypt$ln=10,r=8,p=1$GYMQAkDoHQOAkPI+55wTAg$ZoNi++/e8eWZrfY1qJ0/FXpZjcT+eK9N6hWNs17VERg",
    "passlib 1.7, bcrypt of HMAC": "$bcrypt-sha256$v=2,t=2b,r=4$V.KyjKphAwoZhZX8s6j.3O$8IxMQ5DupHGGe/Jl/gwP6Oz5f8.4ZcS",
    "passlib 1.6, bcrypt of SHA-256": "$bcrypt-sha256$2b,4$lfqWfnNQcqK6E/B0qzWLLu$MgxIklqKGauKm24/AjZZ5h2m71WvI7e",
    "passlib 1.7, argon2i": "$argon2i$v=19$m=8,t=1,p=1$wfg/R8i5915rbW2NsRYiRA"
    "$PNTXs6u10F8SoE6k9U43HyrpSPqXYeGCsqIpm24g6Bk",
}
FIREBASE = (
    "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,"
    "sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="
    "$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
)
"""The vector that https://github.com/firebase/scrypt publishes, for ``user1password``."""

HASHES = hashes_of(PASSWORD) | MADE_ELSEWHERE


def imported_hash(made: str) -> Secret:
    kept = import_hash(made)
    assert kept is not None
    return kept


def is_imported(stored: Secret) -> bool:
    return not read_hash(stored).is_ours


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


@pytest.mark.parametrize(("password", "is_replaced"), [("short", True), ("x" * 256, True), ("x" * 257, False)])
def test_a_password_that_nobody_could_choose_here_goes_on_working(
    auth: Doorward, password: str, *, is_replaced: bool
) -> None:
    account = opened(auth, generate_password_hash(password, "pbkdf2:sha256:1000"))
    for _ in range(2):
        assert sign_in(auth, password) == account
        assert is_imported(Secret(hash_of(auth, account))) is not is_replaced


def test_firebases_published_vector_signs_in(auth: Doorward) -> None:
    account = opened(auth, FIREBASE)
    assert sign_in(auth, "user1password") == account
    assert hash_of(auth, account).startswith("$argon2id$")


def test_the_empty_password_signs_nobody_in_whatever_the_hash_is_of(auth: Doorward) -> None:
    opened(auth, generate_password_hash("", "pbkdf2:sha256:1000"))
    with pytest.raises(InvalidCredentials):
        sign_in(auth, "")


@pytest.mark.parametrize("made", ["!", "!unusable", pytest.param(hashers.make_password(None), id="Django's own")])
def test_djangos_unusable_password_is_an_account_without_one(auth: Doorward, made: str) -> None:
    account = opened(auth, made)
    assert run_blocking(auth.account(account)).password_hash is None
    for typed in ("", "!", made):
        with pytest.raises(InvalidCredentials):
            sign_in(auth, typed)


def test_an_account_that_was_disabled_elsewhere_is_disabled_here(auth: Doorward) -> None:
    account = ImportedAccount(email="ada@example.com", password_hash=Secret(HASHES["pwdlib, argon2"]), disabled=True)
    opened = run_blocking(auth.import_account(account, actor=Actor()))
    assert run_blocking(auth.account(opened.id)).disabled_at is not None
    with pytest.raises(InvalidCredentials):
        sign_in(auth, PASSWORD)


def test_what_bcrypt_does_not_look_at_is_left_out_as_where_it_was_made(auth: Doorward) -> None:
    long = "x" * 80
    account = opened(auth, bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode())
    assert sign_in(auth, long) == account
    with pytest.raises(InvalidCredentials):
        sign_in(auth, "x" * 79)


@pytest.mark.parametrize("last", range(64))
def test_bits_of_a_salt_of_bcrypt_that_do_not_count_are_ignored(last: int) -> None:
    # Some implementations write them as they were given; the package refuses all but zeros.
    alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    canonical = alphabet[last & 0b110000]
    made = bcrypt.hashpw(b"secret", b"$2b$04$" + b"." * 21 + canonical.encode()).decode()
    odd = made[:28] + alphabet[last] + made[29:]
    assert read_hash(imported_hash(odd)).matches("secret")
    assert not read_hash(imported_hash(odd)).matches("another")


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
        # Work
        f"pbkdf2_sha256${MOST_ITERATIONS['sha256'] + 1}$salt${B64}",
        f"pbkdf2:sha256:{MOST_ITERATIONS['sha256'] + 1}$salt${HEX}",
        f"pbkdf2_sha256${'9' * 500}$salt${B64}",
        f"scrypt:4194304:8:1$salt${HEX}",
        f"scrypt:32768:8:64$salt${HEX}",
        f"scrypt$1048576$salt$64$64${B64}",
        "$2b$16$" + "." * 53,
        f"scrypt:2:1:8193$salt${HEX}",
        f"$scrypt$ln=99,r=8,p=1$c2FsdHNhbHQ${B64}",
        f"$pbkdf2-sha512${MOST_ITERATIONS['sha512'] + 1}$c2FsdHNhbHQ${B64}",
        f"$pbkdf2${MOST_ITERATIONS['sha1'] // 2 + 1}$c2FsdHNhbHQ${B64}",
        f"$argon2id$v=19$m=2097152,t=1,p=1$c2FsdHNhbHQ${B64}",
        f"$argon2id$v=19$m=1048576,t=3,p=1$c2FsdHNhbHQ${B64}",
        f"$argon2id$v=19$m=8,t=1000000,p=1$c2FsdHNhbHQ${B64}",
        f"$argon2id$v=19$m=65536,t=1,p=17$c2FsdHNhbHQ${B64}",
        "$bcrypt-sha256$v=2,t=2b,r=31$" + "." * 22 + "$" + "." * 31,
        FIREBASE.replace("n=14", "n=99"),
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
        "$2b$12$" + "!" * 53,
        "$2b$03$" + "." * 53,
        "bcrypt$$2b$12$" + "!" * 53,
        "scrypt",
        "$",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$" + B64,
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=8,t=1,p=2$c2FsdHNhbHQ$" + B64,
        "$argon2id$v=18$m=8,t=1,p=1$c2FsdHNhbHQ$" + B64,
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$not!base64but!long!enough!to!pass",
        FIREBASE.replace("v=1", "v=2"),
        FIREBASE[:-8],
        FIREBASE.partition(",sk=")[0] + ",sk=$c2FsdHNhbHQ$YQ==",
        "0" * 32 + ":" + "0" * 127,
        "$2x$12$" + "x" * 53,
        "$argon2id$v=19$broken",
        f"pbkdf2_sha256$1000${'s' * 2000}${B64}",
    ],
)
def test_a_hash_that_is_none_or_asks_for_absurd_work_is_refused_without_being_repeated(made: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        import_hash(made)
    assert not made or made not in str(refused.value)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ("md5$salt$" + "f" * 32, "its scheme is not supported"),
        ("$2b$12$" + "!" * 53, "it is malformed"),
        (f"$argon2id$v=19$m=8,t=1000000,p=1$c2FsdHNhbHQ${B64}", "too much work: argon2 with m=8, t=1000000 and p=1"),
        ("$2b$16$" + "." * 53, "too much work: bcrypt of cost 16"),
        (f"pbkdf2:sha256:99999999$salt${HEX}", "too much work: 99999999 iterations"),
    ],
)
def test_a_refusal_says_why(made: str, reason: str) -> None:
    with pytest.raises(ValidationFailed, match=reason) as refused:
        import_hash(made)
    assert [error.field for error in refused.value.errors] == ["password_hash"]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Derivation]:
    """What is computed, one entry a computation; nothing is remembered of earlier trials."""
    seen: list[Derivation] = []
    derivation._seconds_of.cache_clear()
    for kind in (Argon2, derivation.Pbkdf2, derivation.Scrypt, derivation.Bcrypt):
        derive = kind.derive

        def counting(self: Any, password: bytes, salt: bytes, derive: Any = derive) -> Any:
            seen.append(self)
            return derive(self, password, salt)

        monkeypatch.setattr(kind, "derive", counting)
    return seen


def test_one_hash_of_each_set_of_parameters_is_tried_at_the_import(computed: list[Derivation]) -> None:
    for _ in range(3):
        import_hash(generate_password_hash(PASSWORD, "pbkdf2:sha256:1000"))
    import_hash(generate_password_hash(PASSWORD, "pbkdf2:sha256:1001"))
    assert computed == [derivation.Pbkdf2(algorithm="sha256", iterations=each, size=32) for each in (1000, 1001)]


def test_what_takes_too_long_here_is_refused_whatever_its_parameters(
    computed: list[Derivation], monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = iter([10.0, 10.0 + derivation.MOST_SECONDS + 0.001])
    monkeypatch.setattr(derivation, "thread_time", lambda: next(readings))
    with pytest.raises(ValidationFailed, match="a check takes more than 3 s on this machine"):
        import_hash(HASHES["Werkzeug, PBKDF2"])
    with pytest.raises(ValidationFailed):  # without computing it again
        import_hash(HASHES["Werkzeug, PBKDF2"])
    assert len(computed) == 1


def test_lanes_of_argon2_are_measured_in_the_thread_that_measures(computed: list[Derivation]) -> None:
    import_hash(PasswordHasher(time_cost=2, memory_cost=64, parallelism=4).hash(PASSWORD))
    assert computed == [Argon2(memory_kib=64, passes=2, lanes=1, size=32)]


def failing(error: Exception) -> Any:
    def derive(*_: object) -> bytes:
        raise error

    return derive


def test_what_this_machine_has_no_memory_for_is_refused_at_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    derivation._seconds_of.cache_clear()
    monkeypatch.setattr(derivation.Scrypt, "derive", failing(MemoryError()))
    with pytest.raises(ValidationFailed, match="more memory than this machine has"):
        import_hash(HASHES["Werkzeug, scrypt"])


@pytest.mark.parametrize(
    "stored",
    [
        f"pbkdf2_sha256${10**9}$salt${B64}",
        "bcrypt$2b$12$" + "!" * 53,
        "$2b$12$" + "!" * 53,
        f"argon2$argon2id$v=19$m=8,t=1000000,p=1$c2FsdHNhbHQ${B64}",
        f"$argon2id$v=19$m=8,t=1000000,p=1$c2FsdHNhbHQ${B64}",
        f"scrypt:4194304:8:1$salt${HEX}",
        "!",
        "md5$salt$" + "f" * 32,
    ],
)
def test_a_stored_hash_that_cannot_be_used_costs_one_computation_of_ours_and_signs_nobody_in(
    stored: str, computed: list[Derivation], caplog: pytest.LogCaptureFixture
) -> None:
    hashing = InlineHashing(INSECURE_FAST)
    assert not run_blocking(hashing.verify(Secret(PASSWORD), Secret(stored)))
    assert computed == [Argon2(memory_kib=8, passes=1, lanes=1, size=32)]
    assert "cannot be used" in caplog.text
    assert stored not in caplog.text


def test_whatever_a_library_makes_of_a_stored_hash_nobody_signs_in_by_it_and_nothing_fails(
    computed: list[Derivation], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(derivation.Bcrypt, "derive", failing(ValueError("it quotes: secret")))
    hashing = InlineHashing(INSECURE_FAST)
    assert not run_blocking(hashing.verify(Secret(PASSWORD), Secret(HASHES["pwdlib, bcrypt"])))
    assert computed == [Argon2(memory_kib=8, passes=1, lanes=1, size=32)]
    assert "cannot be computed (ValueError)" in caplog.text
    assert "secret" not in caplog.text


def test_where_memory_is_short_nobody_is_told_that_the_password_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = InlineHashing(INSECURE_FAST)
    stored = run_blocking(hashing.hash(Secret(PASSWORD)))
    monkeypatch.setattr(Argon2, "derive", failing(MemoryError()))
    with pytest.raises(Busy):
        run_blocking(hashing.verify(Secret(PASSWORD), stored))
    with pytest.raises(Busy):
        run_blocking(hashing.hash(Secret(PASSWORD)))


@pytest.mark.parametrize("typed", ["", "x" * 1025, "\ud800" * 8, "wrong", "a\0b"])
def test_an_imported_hash_costs_one_computation_whatever_is_typed(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {name: imported_hash(made) for name, made in HASHES.items()}
    computed: list[Derivation] = []

    def derive(self: Derivation, *_: bytes) -> bytes:
        computed.append(self)
        return b""

    for kind in (Argon2, derivation.Pbkdf2, derivation.Scrypt, derivation.Bcrypt):
        monkeypatch.setattr(kind, "derive", derive)
    for name, each in stored.items():
        computed.clear()
        assert not run_blocking(InlineHashing(INSECURE_FAST).verify(Secret(typed), each)), name
        assert computed == [read_hash(each).derivation]


@pytest.mark.parametrize(
    "name", ["Django, PBKDF2 with SHA-256", "Werkzeug, scrypt", "pwdlib, bcrypt", "Django, bcrypt of SHA-256"]
)
def test_a_nul_after_a_password_makes_it_another_one(auth: Doorward, name: str) -> None:
    # PBKDF2, scrypt and bcrypt have one hash for both, and the one that was typed would be kept.
    account = opened(auth, HASHES[name])
    for suffix in ("\0", "\0" + PASSWORD):
        with pytest.raises(InvalidCredentials):
            sign_in(auth, PASSWORD + suffix)
    assert sign_in(auth, PASSWORD) == account


def test_they_are_checked_where_all_passwords_are_and_no_more_of_them_at_once() -> None:
    hashing = InlineHashing(INSECURE_FAST, workers=1, queue=0)
    hashing._take_place()
    with pytest.raises(Busy):
        run_blocking(hashing.verify(Secret(PASSWORD), imported_hash(HASHES["Django, PBKDF2 with SHA-256"])))


def test_where_the_package_for_bcrypt_is_missing_nobody_is_told_that_the_password_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bcrypt", None)
    with pytest.raises(Unavailable, match=r"pip install 'doorward\[bcrypt\]'"):
        read_hash(Secret(HASHES["pwdlib, bcrypt"])).matches(PASSWORD)
    derivation._seconds_of.cache_clear()
    with pytest.raises(ValidationFailed, match=r"pip install 'doorward\[bcrypt\]'"):
        import_hash(HASHES["pwdlib, bcrypt"])


@given(
    st.sampled_from([*HASHES.values(), FIREBASE]),
    st.integers(0, 300),
    st.integers(0, 6),
    st.text(alphabet=[*map(chr, range(33, 127)), "é", "١"], max_size=4),
)
def test_whatever_is_damaged_is_read_or_refused(made: str, at: int, removed: int, put: str) -> None:
    at %= len(made)
    with suppress(UnusableHash):
        read_hash(Secret(made[:at] + put + made[at + removed :]))


def test_no_hash_is_shown() -> None:
    made = HASHES["pwdlib, bcrypt"]
    account = ImportedAccount(email="ada@example.com", password_hash=Secret(made))
    read = read_hash(imported_hash(made))
    assert made not in repr(account) + repr(read)
    assert read.digest.decode() not in repr(read)
    assert "signer_key" not in repr(read_hash(Secret(FIREBASE)))
