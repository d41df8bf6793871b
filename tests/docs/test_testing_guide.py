"""The guide on testing, run as it stands, by pytest in a project of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.secret import Secret
from doorward.testing import rehearsal
from doorward.testing.plugin import LoginAs

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "testing-your-application.md"
_FILE = re.compile(r"^```python title=(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HEAVY = ("sqlalchemy", "cryptography", "argon2", "doorward.doorward", "doorward.stores", "asyncio", "ssl")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own; of pytest's plugins it has the two that matter, which is quicker."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    plugins = ("no:cacheprovider", "anyio.pytest_plugin", "doorward.testing.plugin")
    # Starlette's client prefers another library to httpx.
    return run(
        folder, "-m", "pytest", "-q", "-W", "ignore:Using `httpx`", *(part for each in plugins for part in ("-p", each))
    )


def test_pytest_finds_the_plugin_by_itself() -> None:
    (found,) = [each for each in entry_points(group="pytest11") if each.name == "doorward"]
    assert found.value == "doorward.testing.plugin"


def test_the_examples_of_the_guide_pass(tmp_path: Path) -> None:
    files = _FILE.findall(GUIDE.read_text())
    for name, source in files:
        (tmp_path / name).write_text(source)
    (tmp_path / "app.py").write_text((ROOT / "examples" / "fastapi_app.py").read_text())
    done = run_pytest(tmp_path)
    tests = sum(source.count("def test_") for _, source in files)
    assert f"{tests} passed" in done.stdout, done.stdout
    # What the application keeps in production was not touched.
    assert not list(tmp_path.glob("*.db"))


def test_where_it_is_not_used_the_plugin_costs_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; import pytest; before = set(sys.modules); import doorward.testing.plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    imported = run(tmp_path, "-c", program).stdout
    assert "'doorward.testing.plugin'" in imported
    assert not [name for name in HEAVY if f"'{name}'" in imported]


def test_an_application_that_does_not_say_what_it_is_is_told_how(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(login_as): pass\n")
    done = run_pytest(tmp_path)
    assert done.returncode == 1
    assert "Define a fixture doorward_app" in done.stdout


@pytest.fixture
def doorward_auth() -> Doorward:
    return Doorward("sqlite:///nowhere.db", strategy="session", blocking=True)


@pytest.fixture
def doorward_app() -> object:
    return None


def test_a_synchronous_application_signs_in_without_a_loop(login_as: LoginAs, doorward_auth: Doorward) -> None:
    ada = run_blocking(login_as(roles={"analyst"}))
    (cookie,) = ada.cookies.values()
    assert ada.headers == {
        "Cookie": f"doorward_session={cookie}; __Host-doorward_session={cookie}",
        "Sec-Fetch-Site": "same-origin",
    }
    principal = run_blocking(doorward_auth.authenticate(handle=Secret(cookie)))
    assert principal.roles == {"analyst"}
    again = run_blocking(login_as(roles=()))
    assert again.account_id == ada.account_id


def test_a_deployment_is_what_it_was_once_the_rehearsal_is_over() -> None:
    auth = Doorward("sqlite:///nowhere.db", strategy="session", blocking=True)
    before = dict(vars(auth))
    with rehearsal(auth) as clock:
        run_blocking(auth.open())
        assert auth.deployment.clock is clock
        with pytest.raises(RuntimeError, match="before"), rehearsal(auth):
            pass
    assert not auth.is_open
    assert vars(auth) == before
