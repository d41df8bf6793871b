"""The guides on Flask and on moving in, followed step by step."""

from __future__ import annotations

import json
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher
from werkzeug.security import generate_password_hash

from doorward.audit.model import Actor, Origin
from doorward.blocking import run_blocking
from doorward.cli.app import run
from doorward.cli.flask_command import command as flask_command
from doorward.doorward import Doorward
from doorward.errors import InvalidCredentials
from doorward.secret import Secret
from doorward.web.flask import doorward_of
from tests.docs.blocks import block, run_block, says
from tests.postgres import PostgresServer

PASSWORD = "a walrus in seven teapots"
OWN_PAGE = {"sec-fetch-site": "same-origin"}
HERE = "sqlite:///doorward.db"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def a_flask_app(**settings: Any) -> Any:
    fast = {"DOORWARD_INSECURE_FAST_HASHING": True, "DOORWARD_DATABASE": HERE}
    return run_block("flask.md").create_app(**fast, **settings)


def test_the_guide_on_flask_is_an_application() -> None:
    app = a_flask_app()
    browser, auth = app.test_client(), doorward_of(app)
    assert browser.get("/").text == "not signed in"
    run_blocking(auth.sign_up(email="ada@example.com", password=Secret(PASSWORD), roles=["analyst"], actor=Actor()))
    asked = browser.get("/mine", headers={"accept": "text/html"})
    assert asked.location == "/sign-in?next=/mine"
    form = {"email": "ada@example.com", "password": PASSWORD}
    assert browser.post("/sign-in", data={**form, "password": "wrong"}, headers=OWN_PAGE).status_code == 401
    assert browser.post(asked.location, data=form, headers=OWN_PAGE).location == "/mine"
    assert browser.get("/mine").text == "ada@example.com"
    assert browser.get("/reports").text == "for analysts only"
    assert browser.post("/sign-out", headers=OWN_PAGE).location == "/"
    assert browser.get("/").text == "not signed in"
    run_blocking(auth.close())


def exported(page: str, database: str) -> None:
    """Run the script of a page, and keep what it prints, as the page says."""
    Path("export_users.py").write_text(block(page, "export_users.py"))
    line = shlex.split(says(page, f"python export_users.py {database} > users.jsonl"))
    done = subprocess.run([sys.executable, *line[1:3]], check=True, capture_output=True, text=True)
    Path(line[4]).write_text(done.stdout)


def a_table(file: str, columns: str, *rows: tuple[Any, ...]) -> None:
    Path(file).parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(f"CREATE TABLE user ({columns})")
        database.executemany(f"INSERT INTO user VALUES ({', '.join('?' * len(rows[0]))})", rows)


def test_users_of_flask_login_sign_in_with_the_passwords_that_they_had() -> None:
    page = "moving-from-flask.md"
    a_table(
        "instance/app.db",
        "id, email, password_hash",
        (1, "ada@example.com", generate_password_hash(PASSWORD, "scrypt:1024:8:1")),
        (2, "bob@example.com", generate_password_hash(PASSWORD, "pbkdf2:sha256:1000")),
    )
    exported(page, "instance/app.db")
    app = a_flask_app()
    line = shlex.split(says(page, "flask doorward accounts import users.jsonl --json > accounts.jsonl"))
    done = app.test_cli_runner().invoke(flask_command, line[2:6])
    assert done.exit_code == 0
    accounts = {each["id"]: each["account"] for each in map(json.loads, done.output.splitlines())}
    browser = app.test_client()
    for number, email in ((1, "ada@example.com"), (2, "bob@example.com")):
        answer = browser.post("/auth/v1/sessions", json={"email": email, "password": PASSWORD}, headers=OWN_PAGE)
        assert answer.get_json()["account"]["id"] == accounts[number]
    run_blocking(doorward_of(app).close())


def test_users_of_fastapi_users_sign_in_with_the_passwords_that_they_had(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = "moving-from-fastapi-users.md"
    argon2 = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with_bcrypt = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    a_table(
        "app.db",
        "id, email, hashed_password, is_superuser, is_verified, is_active",
        ("0e1f", "ada@example.com", argon2, 1, 1, 1),
        ("2a3b", "bob@example.com", with_bcrypt, 0, 0, 1),
        ("4c5d", "eve@example.com", with_bcrypt, 0, 0, 0),
    )
    exported(page, "app.db")
    monkeypatch.setenv("DOORWARD_INSECURE_FAST_HASHING", "on")
    assert run(["migrate"]) == 0
    capsys.readouterr()
    line = shlex.split(says(page, "doorward accounts import users.jsonl --json > accounts.jsonl"))
    assert run(line[1:5]) == 0
    assert [json.loads(each)["id"] for each in capsys.readouterr().out.splitlines()] == ["0e1f", "2a3b"]
    with_doorward(("ada@example.com", ("admin",)), ("bob@example.com", ()))


def with_doorward(*expected: tuple[str, tuple[str, ...]]) -> None:
    auth = Doorward(HERE, insecure_fast_hashing=True, blocking=True)
    run_blocking(auth.open())
    for email, roles in expected:
        signed_in = run_blocking(auth.sign_in(email=email, password=Secret(PASSWORD), origin=Origin()))
        assert signed_in.account.roles == roles
    run_blocking(auth.close())


def test_users_of_supabase_sign_in_with_the_passwords_that_they_had(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, database = "importing-accounts.md", postgres.new_database().rpartition("/")[2]
    made = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2a$")
    postgres.run("CREATE SCHEMA auth", database)
    postgres.run(
        "CREATE TABLE auth.users (id uuid DEFAULT gen_random_uuid(), email text, encrypted_password text,"
        " email_confirmed_at timestamptz, banned_until timestamptz)",
        database,
    )
    postgres.run(
        f"INSERT INTO auth.users (email, encrypted_password, banned_until) VALUES ('ada@example.com', '{made}', NULL),"
        f" ('eve@example.com', '{made}', now() + interval '1 day'), ('oauth@example.com', '', NULL), (NULL, '', NULL)",
        database,
    )
    rows = postgres.run(block(page, "supabase.sql", language="sql"), database)
    Path("users.jsonl").write_text("".join(json.dumps(row) + "\n" for (row,) in rows))
    monkeypatch.setenv("DOORWARD_INSECURE_FAST_HASHING", "on")
    assert run(["migrate"]) == 0
    assert run(["accounts", "import", "users.jsonl"]) == 0
    with_doorward(("ada@example.com", ()))
    with pytest.raises(InvalidCredentials):
        with_doorward(("eve@example.com", ()))


def test_the_line_that_is_shown_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    page = "importing-accounts.md"
    Path("users.jsonl").write_text(block(page, "users.jsonl", language="json"))
    monkeypatch.setenv("DOORWARD_INSECURE_FAST_HASHING", "on")
    assert run(["migrate"]) == 0
    assert run(shlex.split(says(page, "doorward accounts import users.jsonl"))[1:]) == 0
    with_doorward(("ada@example.com", ("admin",)))
