"""The secret that is made at first start."""

from __future__ import annotations

import stat
from pathlib import Path
from threading import Barrier, Thread

import pytest

from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, DatabaseUnusable
from doorward.secret_file import read_or_make_secret, secret_file_of


def test_it_is_kept_beside_the_database() -> None:
    assert secret_file_of("sqlite:///data/app.db") == Path("data/app.secret")
    assert secret_file_of("sqlite:////srv/app.db") == Path("/srv/app.secret")
    assert secret_file_of("memory:") is None


def test_databases_whose_names_differ_by_their_ending_have_secrets_of_their_own() -> None:
    names = ("app.db", "app.dev", "app.prod", "app.sqlite3", "app.secret", "app.secret.db")
    kept = [secret_file_of(f"sqlite:///{name}") for name in names]
    assert [str(file) for file in kept] == [
        "app.secret",
        "app.dev.secret",
        "app.prod.secret",
        "app.sqlite3.secret",
        "app.secret.secret",
        "app.secret.secret",
    ]


@pytest.mark.parametrize("address", ["sqlite:///", "sqlite:///.", "sqlite:////", "sqlite:///:memory:"])
def test_an_address_without_a_file_is_refused_by_its_number_and_leaves_nothing_behind(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="DW050"):
        Doorward(address)
    assert list(tmp_path.iterdir()) == []


def test_it_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "app.secret"
    made = read_or_make_secret(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make_secret(path).matches(made)
    assert len(made.reveal()) >= 32
    assert [each.name for each in tmp_path.iterdir()] == ["app.secret"]


def test_a_secret_that_others_may_read_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "app.secret"
    read_or_make_secret(path)
    path.chmod(0o644)
    with pytest.raises(DatabaseUnusable, match="chmod 600"):
        read_or_make_secret(path)


def test_a_missing_folder_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="DOORWARD_SECRET"):
        read_or_make_secret(tmp_path / "nowhere" / "app.secret")


def test_many_servers_that_start_at_once_read_the_same_secret(tmp_path: Path) -> None:
    path = tmp_path / "app.secret"
    barrier = Barrier(8)
    read: list[str] = []

    def start() -> None:
        barrier.wait()
        read.append(read_or_make_secret(path).reveal())

    threads = [Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read) == 8
    assert len(set(read)) == 1


def test_without_a_file_every_process_has_its_own() -> None:
    assert not read_or_make_secret(None).matches(read_or_make_secret(None))
