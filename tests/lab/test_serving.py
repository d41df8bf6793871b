"""When the lab is served: asked for, on loopback, by one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from doorward.cli.app import run
from doorward.errors import ConfigurationError
from doorward.server.app import ServerApp
from doorward.server.settings import load_settings

FLAGS = {"database": "memory:", "insecure_fast_hashing": True}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def status_of(path: str, **flags: Any) -> int:
    settings = load_settings({**FLAGS, **flags}).settings
    app = ServerApp(settings.doorward(), settings)
    async with app.life(), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=settings.address) as client:
        return (await client.get(path)).status_code


@pytest.mark.anyio
@pytest.mark.parametrize(("flags", "status"), [({}, 404), ({"lab": False}, 404), ({"lab": True}, 200)])
async def test_the_lab_is_there_where_it_is_asked_for(flags: dict[str, Any], status: int) -> None:
    assert await status_of("/lab", **flags) == status


@pytest.mark.anyio
async def test_the_lab_takes_nothing_else_of_the_servers_paths() -> None:
    assert await status_of("/labs", lab=True) == 404
    assert await status_of("/healthz", lab=True) == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "auth.example.com"])
def test_the_lab_is_refused_where_other_machines_could_reach_it(host: str) -> None:
    with pytest.raises(ConfigurationError, match="DW076"):
        load_settings({"lab": True, "host": host})
    assert load_settings({"lab": False, "host": host}).settings.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_lab_is_served_on_loopback(host: str) -> None:
    assert load_settings({"lab": True, "host": host}).settings.lab


def test_several_workers_have_no_lab_in_common() -> None:
    with pytest.raises(ConfigurationError, match="DW077"):
        load_settings({"lab": True, "workers": 2, "database": "sqlite:///doorward.db"})


def test_the_command_line_asks_for_the_lab(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--lab", "--host", "0.0.0.0"]) == 2
    assert "DW076" in capsys.readouterr().err
