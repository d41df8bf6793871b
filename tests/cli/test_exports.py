"""What other products export.  The hashes were made by those products, or are their published vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doorward.audit.model import Origin
from doorward.blocking import run_blocking
from doorward.errors import InvalidCredentials
from doorward.secret import Secret

Command = Callable[..., Any]


def credential(value: str, salt: str, algorithm: str, iterations: int, **parameters: str) -> dict[str, object]:
    """As Keycloak writes it: two texts of JSON."""
    given = {name: [text] for name, text in parameters.items()}
    return {
        "type": "password",
        "secretData": json.dumps({"value": value, "salt": salt, "additionalParameters": {}}),
        "credentialData": json.dumps(
            {"hashIterations": iterations, "algorithm": algorithm, "additionalParameters": given}
        ),
    }


ARGON2 = {"hashLength": "32", "memory": "7168", "type": "id", "version": "1.3", "parallelism": "1"}
# Keycloak 26, for "secret", and Keycloak 21, for "password".
BY_ARGON2 = credential(
    "xKjWvB9+0sSP6wTqI1JoEI7w+iA0x9VDhPgmrOHRG80=", "LRScGShC7shkdoU5B1UgUQ==", "argon2", 5, **ARGON2
)
BY_PBKDF2 = credential(
    "RITBVPdh5pvXOa4JzJ5pZTE0rG96zhnQNmSsKCf83aU=", "drB9e5Smf3cbfUfF3FUerw==", "pbkdf2-sha256", 27500
)
# https://github.com/firebase/scrypt, for "user1password"; the console shows the parameters like this.
FIREBASE_CONFIG = """hash_config {
  algorithm: SCRYPT,
  base64_signer_key: jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==,
  base64_salt_separator: Bw==,
  rounds: 8,
  mem_cost: 14,
}
"""
FIREBASE_HASH = "lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ=="
# Better Auth 1.7
BETTER_AUTH_PASSWORD = "ﬁve ｇreen kettles"
BETTER_AUTH_HASH = (
    "08ca447e4ae2310eabbd0fcb3d0d0bab:965eea965764bd3786aff5d38d8ed411f56f3ced9d5ef038180406517"
    "8f5696b2fd95e66dcd35e482bb43b2d68b30165da2cc6ae27f5174a9a167aafa9950c5a"
)


@pytest.fixture
def sign_in(application: Any) -> Callable[[str, str], Any]:
    def call(email: str, password: str) -> Any:
        with application.open() as auth:
            signed_in = run_blocking(
                auth.sign_in(email=email, password=Secret(password), origin=Origin(ip="192.0.2.7"))
            )
            return run_blocking(auth.account(signed_in.account.id))

    return call


def written(document: object, name: str = "export.json") -> str:
    Path(name).write_text(document if isinstance(document, str) else json.dumps(document))
    return name


def test_users_of_keycloak_sign_in_with_the_passwords_that_they_have(
    database: Command, sign_in: Callable[[str, str], Any]
) -> None:
    file = written(
        {
            "realm": "example",
            "users": [
                {
                    "id": "k-1",
                    "username": "bob",
                    "email": "bob@example.com",
                    "emailVerified": True,
                    "firstName": "Bob",
                    "lastName": "Frost",
                    "enabled": True,
                    "realmRoles": ["admin"],
                    "credentials": [{"type": "otp", "secretData": "{}", "credentialData": "{}"}, BY_ARGON2],
                },
                {"email": "eve@example.com", "enabled": False, "credentials": [BY_PBKDF2]},
                {"email": "dan@example.com", "credentials": [BY_PBKDF2]},
                {"email": "federated@example.com", "federationLink": "ldap"},
                {"username": "service-account-app", "serviceAccountClientId": "app"},
                {"username": "without-an-address"},
                {"email": "md5@example.com", "credentials": [credential("YQ==", "YQ==", "md5-crypt", 1)]},
                {
                    "email": "slow@example.com",
                    "credentials": [credential("YWFh" * 16, "YQ==", "pbkdf2-sha512", 10**9)],
                },
                {
                    "email": "slow@example.com",
                    "credentials": [credential("YWFh" * 8, "YWFh" * 4, "argon2", 10**6, **ARGON2)],
                },
                {"email": "odd@example.com", "credentials": [{"type": "password", "secretData": "no JSON"}]},
                "no object",
            ],
        }
    )
    done = database("accounts", "import", "--from", "keycloak", file)
    assert done.out.startswith("Imported 4 accounts; 0 addresses had one already; 7 users were refused.")
    assert [line.partition(":")[0] for line in done.err.splitlines()] == [f"user {n}" for n in range(5, 12)]
    assert "too much work: 1000000000 iterations" in done.err
    assert "too much work: argon2 with m=7168, t=1000000" in done.err
    bob = sign_in("bob@example.com", "secret")
    assert (bob.name, bob.email_verified, bob.roles) == ("Bob Frost", True, ())
    assert bob.password_hash.reveal().startswith("$argon2id$v=19$m=8")
    assert sign_in("dan@example.com", "password").name is None
    for email, password in (("eve@example.com", "password"), ("bob@example.com", "password")):
        with pytest.raises(InvalidCredentials):
            sign_in(email, password)


def test_an_export_of_keycloak_without_its_users_is_refused_with_the_way_to_have_them(database: Command) -> None:
    done = database("accounts", "import", "--from", "keycloak", written({"realm": "example", "clients": []}))
    assert (done.code, "--users same_file" in done.err) == (2, True)


def test_users_of_firebase_sign_in_with_the_passwords_that_they_have(
    database: Command, sign_in: Callable[[str, str], Any]
) -> None:
    user = {"passwordHash": FIREBASE_HASH, "salt": "42xEC-ixf3L2lw=="}
    file = written(
        {
            "users": [
                {"localId": "f-1", "email": "bob@example.com", "displayName": "Bob", "emailVerified": True, **user},
                {"localId": "f-2", "email": "eve@example.com", "disabled": True, **user},
                {"localId": "f-3", "email": "google@example.com", "providerUserInfo": [{"providerId": "google.com"}]},
                {"localId": "f-4", "phoneNumber": "+49301234567"},
                {"localId": "f-5", "email": "odd@example.com", "passwordHash": "YQ", "salt": "YQ"},
            ]
        }
    )
    config = written(FIREBASE_CONFIG, "parameters.txt")
    done = database("accounts", "import", "--from", "firebase", "--hash-config", config, file, "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [(line["id"], line["outcome"]) for line in lines[:3]] == [(f"f-{n}", "imported") for n in (1, 2, 3)]
    assert [line["outcome"] for line in lines[3:]] == ["refused", "refused"]
    assert sign_in("bob@example.com", "user1password").password_hash.reveal().startswith("$argon2id$v=19$m=8")
    with pytest.raises(InvalidCredentials):
        sign_in("eve@example.com", "user1password")


def test_users_of_better_auth_sign_in_with_the_passwords_that_they_have(
    database: Command, sign_in: Callable[[str, str], Any]
) -> None:
    file = written(
        {
            "user": [
                {"id": "b-1", "email": "bob@example.com", "name": "Bob", "emailVerified": 1},
                {"id": "b-2", "email": "eve@example.com", "name": "Eve", "emailVerified": False, "banned": True},
                {"id": "b-3", "email": "github@example.com", "name": ""},
            ],
            "account": [
                {"userId": "b-1", "providerId": "github", "password": None},
                {"userId": "b-1", "providerId": "credential", "password": BETTER_AUTH_HASH},
                {"userId": "b-2", "providerId": "credential", "password": BETTER_AUTH_HASH},
            ],
        }
    )
    done = database("accounts", "import", "--from", "better-auth", file)
    assert (done.code, done.out[:20]) == (0, "Imported 3 accounts;")
    bob = sign_in("bob@example.com", BETTER_AUTH_PASSWORD)
    assert bob.email_verified
    assert bob.password_hash.reveal().startswith("$argon2id$v=19$m=8")
    with pytest.raises(InvalidCredentials):
        sign_in("eve@example.com", BETTER_AUTH_PASSWORD)


@pytest.mark.parametrize(
    ("arguments", "document", "said"),
    [
        (["keycloak"], "no JSON", "is not JSON"),
        (["keycloak"], [], "is not a JSON object"),
        (["firebase"], {"users": []}, "--hash-config"),
        (["keycloak", "--hash-config", "export.json"], {"users": []}, "--hash-config"),
        (["lines", "--hash-config", "export.json"], {"users": []}, "--hash-config"),
        (["firebase", "--hash-config", "export.json"], {"users": []}, "base64_signer_key"),
        (["firebase", "--hash-config", "nowhere"], {"users": []}, "cannot be read"),
        (["better-auth"], {"user": []}, 'no list "account"'),
        (["better-auth"], {"user": [], "account": [{}]}, 'In the list "account"'),
    ],
)
def test_a_file_that_is_no_such_export_is_a_mistake_on_the_command_line(
    database: Command, arguments: list[str], document: object, said: str
) -> None:
    done = database("accounts", "import", written(document), "--from", *arguments)
    assert done.code == 2
    assert said in " ".join(done.err.replace("│", " ").split())
