"""The command line, run in this process, in a folder of its own."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from doorward.audit.model import Origin
from doorward.blocking import run_blocking
from doorward.cli.app import run
from doorward.doorward import Doorward
from doorward.secret import Secret
from doorward.sessions.model import SignedIn

PASSWORD = "a-long-walk-by-the-sea"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("DOORWARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DOORWARD_INSECURE_FAST_HASHING", "on")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command; ``stdin`` is what it reads."""
    assert folder.is_dir()

    def call(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = run(arguments)
        out, err = capsys.readouterr()
        return Done(code=code, out=out, err=err)

    return call


@pytest.fixture(scope="session")
def with_an_account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database in which there is one account, to be copied."""
    folder = tmp_path_factory.mktemp("with-an-account")
    database = f"sqlite:///{folder}/doorward.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOORWARD_INSECURE_FAST_HASHING", "on")
        patch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
        assert run(["migrate", "--database", database]) == 0
        assert run(["accounts", "create", "ada@example.com", "--password-stdin", "--database", database]) == 0
    with closing(sqlite3.connect(folder / "doorward.db")) as made, made:
        # So long ago that every server would know the keys: no rotation has to wait for that.
        made.execute("UPDATE doorward_signing_key SET created_at = created_at - 60 * 1000000")
    return folder


@pytest.fixture
def database(command: Command, folder: Path, with_an_account: Path) -> Command:
    """As ``command``, where there is a database with one account, ada@example.com."""
    shutil.copytree(with_an_account, folder, dirs_exist_ok=True)
    return command


class Application:
    """An application on the same database, by the library."""

    @contextmanager
    def open(self) -> Iterator[Doorward]:
        auth = Doorward("sqlite:///doorward.db", blocking=True, insecure_fast_hashing=True)
        run_blocking(auth.open())
        try:
            yield auth
        finally:
            run_blocking(auth.close())

    def sign_in(self, *, origin: Origin = Origin(ip="192.0.2.7", user_agent="Firefox")) -> SignedIn:
        with self.open() as auth:
            return run_blocking(auth.sign_in(email="ada@example.com", password=Secret(PASSWORD), origin=origin))

    def access_token(self) -> str:
        token = self.sign_in().credentials.access_token
        assert token is not None
        return token.text.reveal()


@pytest.fixture
def application() -> Application:
    return Application()
