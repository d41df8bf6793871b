"""What keeps the server from starting is told in one message that names the remedy: exit code 2, no traceback."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from doorward.cli.app import run
from doorward.server.banner import banner
from doorward.server.serve import environment_of, listening
from doorward.server.settings import load_settings

SECRET = "first-secret-of-the-deployment-in-tests"
OTHER = "other-" + "s" * 40

as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("DOORWARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DOORWARD_INSECURE_FAST_HASHING", "on")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def corrupt(folder: Path) -> None:
    (folder / "doorward.db").write_bytes(b"this is no database" * 300)


def from_a_newer_version(folder: Path) -> None:
    migrated(folder)
    with sqlite3.connect(folder / "doorward.db") as connection:
        (table,) = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '%version%'").fetchone()
        connection.execute(f"UPDATE {table} SET version_num = '9999'")
    connection.close()


def migrated(folder: Path) -> None:
    assert run(["migrate"]) == 0
    assert (folder / "doorward.db").exists()


def made_with_another_secret(folder: Path) -> None:
    migrated(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOORWARD_SECRET", SECRET)
        assert run(["keys", "list"]) == 0
    os.environ["DOORWARD_SECRET"] = OTHER


def a_secret_that_others_read(folder: Path) -> None:
    (folder / "doorward.secret").write_text(SECRET)
    (folder / "doorward.secret").chmod(0o644)


def a_short_secret(_: Path) -> None:
    os.environ["DOORWARD_SECRET"] = "short"


def a_folder_in_its_place(folder: Path) -> None:
    (folder / "doorward.db").mkdir()


def a_folder_that_is_not_there(_: Path) -> None:
    os.environ["DOORWARD_DATABASE"] = "sqlite:///not/there/doorward.db"


def a_store_that_there_is_not(_: Path) -> None:
    os.environ["DOORWARD_DATABASE"] = "mysql://doorward:hunter2@127.0.0.1/doorward"


def a_database_without_a_name(_: Path) -> None:
    os.environ["DOORWARD_DATABASE"] = "sqlite:///"


def the_folder_itself(_: Path) -> None:
    os.environ["DOORWARD_DATABASE"] = "sqlite:///."


def sqlites_own_memory(_: Path) -> None:
    os.environ["DOORWARD_DATABASE"] = "sqlite:///:memory:"


def an_option_that_weakens(_: Path) -> None:
    os.environ["DOORWARD_ACCESS_LIFETIME"] = "86400"


def a_misspelt_setting(_: Path) -> None:
    os.environ["DOORWARD_STRATEGIE"] = "jwt"


@pytest.mark.usefixtures("logging_put_back")
@pytest.mark.parametrize(
    ("given", "named"),
    [
        (corrupt, ["doorward.db", "not a SQLite database"]),
        (from_a_newer_version, ["9999", "Update Doorward"]),
        (made_with_another_secret, ["secret", "DOORWARD_SECRET"]),
        (a_secret_that_others_read, ["chmod 600"]),
        (a_short_secret, ["DW003", "token_urlsafe"]),
        (a_folder_in_its_place, ["doorward.db"]),
        (a_folder_that_is_not_there, ["not/there"]),
        (a_store_that_there_is_not, ["DW050", "sqlite:///"]),
        (a_database_without_a_name, ["DW050", "sqlite:///app.db"]),
        (the_folder_itself, ["DW050", "sqlite:///app.db"]),
        (sqlites_own_memory, ["DW050", "Use memory:"]),
        (an_option_that_weakens, ["DW010", "60 to 900"]),
        (a_misspelt_setting, ["DW060", "DOORWARD_STRATEGY?"]),
    ],
)
def test_it_says_what_is_wrong_and_what_to_do(
    given: Callable[[Path], None],
    named: list[str],
    empty_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("SECRET", "DATABASE", "ACCESS_LIFETIME", "STRATEGIE"):
        monkeypatch.delenv(f"DOORWARD_{name}", raising=False)  # so that it is put back
        monkeypatch.setenv(f"DOORWARD_{name}", "")
        del os.environ[f"DOORWARD_{name}"]
    given(empty_folder)
    capsys.readouterr()
    assert run(["serve", "--port", "0"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("doorward: ")
    assert all(part in told.err for part in named), told.err
    assert "Traceback" not in told.err
    assert SECRET not in told.err
    assert OTHER not in told.err
    assert "hunter2" not in told.err


@as_root
@pytest.mark.usefixtures("logging_put_back")
def test_a_folder_that_cannot_be_written_is_told(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty_folder.chmod(0o500)
    try:
        assert run(["serve", "--port", "0"]) == 2
    finally:
        empty_folder.chmod(0o700)
    assert str(empty_folder) in capsys.readouterr().err


@pytest.mark.usefixtures("logging_put_back")
def test_a_port_that_is_taken_is_told_before_anything_is_made(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", "--port", str(port)]) == 2
    told = capsys.readouterr().err
    assert "DW068" in told
    assert str(port) in told
    assert "--port" in told
    assert list(empty_folder.iterdir()) == []


@pytest.mark.usefixtures("logging_put_back")
@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_told(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--host", host, "--port", "0"]) == 2
    assert "DW069" in capsys.readouterr().err


def test_a_process_that_cannot_start_exits_with_2_and_one_message(empty_folder: Path) -> None:
    corrupt(empty_folder)
    done = subprocess.run(
        [sys.executable, "-c", "from doorward.cli import main; main()", "serve", "--port", "0", "--workers", "2"],
        cwd=empty_folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("doorward: ")
    assert done.stderr.count("\n") <= 2


def test_two_servers_cannot_take_one_port() -> None:
    with listening("127.0.0.1", 0) as first, socket.socket() as second:
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            second.bind(first.getsockname())


def test_workers_learn_from_the_environment_what_the_flags_said(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {"port": 9000, "strategy": "jwt", "host": None, "forwarded_allow_ips": "10.0.0.7,10.0.0.8"}
    for name, value in environment_of(flags, config=None).items():
        monkeypatch.setenv(name, value)
    assert load_settings().settings == load_settings(flags).settings


def test_the_banner_tells_what_is_special(tmp_path: Path) -> None:
    text = banner(
        load_settings({"issuer": "https://auth.example.com", "workers": 3}).settings, secret_file=tmp_path / "s"
    )
    assert "https://auth.example.com" in text
    assert "workers   3" in text
    in_memory = banner(load_settings({"database": "memory:"}).settings, secret_file=None)
    assert "gone when the server ends" in in_memory
    assert "made for this run alone" in in_memory
