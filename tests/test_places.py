from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doorward.errors import ConfigurationError
from doorward.places import Places
from tests.geo import write_geo_database
from tests.http.world import ADMIN_KEY, World, a_world


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("geo") / "places.mmdb"
    write_geo_database(file)
    return file


@pytest.mark.parametrize(
    ("address", "language", "name"),
    [
        ("127.0.0.1", "en", "Ankh, Discworld"),
        ("127.0.0.1", "de", "Ankh, Scheibenwelt"),
        ("127.0.0.1", "fr", "Ankh, Discworld"),
        ("::ffff:127.0.0.1", "en", None),
        ("10.1.2.3", "en", "Discworld"),
        ("192.168.0.1", "en", None),
        ("2001:db8::1", "en", None),
        # A database may hold anything.
        ("192.0.2.1", "en", None),
        ("testclient", "en", None),
        ("", "en", None),
        (None, "en", None),
    ],
)
def test_an_address_is_named_by_city_and_country(
    database: Path, address: str | None, language: str, name: str | None
) -> None:
    assert Places(database).name_of(address, language=language) == name


def test_without_a_database_no_place_has_a_name() -> None:
    assert Places().name_of("127.0.0.1") is None


def test_a_file_that_is_no_database_is_told_at_start(tmp_path: Path) -> None:
    (tmp_path / "x.mmdb").write_bytes(b"this is none")
    for file in ("x.mmdb", "missing.mmdb"):
        with pytest.raises(ConfigurationError) as refused:
            Places(tmp_path / file)
        assert [problem.id for problem in refused.value.problems] == ["DW121"]


def test_that_the_reader_is_not_installed_is_told_at_start(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    with pytest.raises(ConfigurationError) as refused:
        Places(database)
    assert [problem.id for problem in refused.value.problems] == ["DW120"]


@pytest.fixture
async def world(database: Path) -> AsyncIterator[World]:
    async with a_world(geo_database=database) as made:
        await made.sign_up()
        yield made


@pytest.mark.anyio
async def test_the_api_says_where_a_session_was_started(world: World) -> None:
    client, body = await world.signed_in()
    assert body["session"]["location"] == "Ankh, Discworld"
    bearer = body["access_token"]
    (listed,) = (await client.get("/v1/sessions", bearer=bearer)).json()["sessions"]
    current = (await client.get("/v1/sessions/current", bearer=bearer)).json()["session"]
    path = f"/v1/admin/accounts/{body['account']['id']}/sessions"
    (seen,) = (await client.get(path, bearer=ADMIN_KEY)).json()["sessions"]
    assert {each["location"] for each in (listed, current, seen)} == {"Ankh, Discworld"}
