"""What somebody has who installs Doorward from a package index, with whichever extras."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from email import message_from_string
from email.message import Message
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path
from typing import Any

import pytest

import doorward

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/doorward/doorward"
PICTURES = "https://raw.githubusercontent.com/doorward/doorward"
EXTRAS: Mapping[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]

ENVIRONMENTS = ("geo", "accounts", "flask", "fastapi", "server")

COMMANDS = [
    ["--help"],
    ["version"],
    ["migrate", "--database", "sqlite:///doorward.db"],
    ["accounts", "list"],
    ["accounts", "create", "ada@example.com", "--password-stdin"],
    ["sessions", "list", "--account", "nobody@example.com"],
    ["keys", "list"],
    ["verifiers", "list"],
    ["cleanup"],
    ["config", "show"],
    ["token", "inspect"],
    ["openapi"],
    ["copy", "--from", "sqlite:///doorward.db", "--to", "sqlite:///missing.db"],
    ["doctor", "--app", "https://a.example", "--api", "https://b.example"],
    ["serve", "--port", "0", "--strategy", "nonsense"],
]

ONE_LINE = re.compile(r"doorward: \w+ is not installed, and this command needs it: pip install 'doorward\[(\w+)\]'\n")

# Imports once what every environment has, and forks for each; a module that is None in sys.modules cannot be imported.
IN_EACH_ENVIRONMENT = """
import contextlib, io, json, os, sys, traceback
import asyncio, ssl, sqlite3, email.message, urllib.request

environments, commands = json.loads(sys.argv[1])

def run(command):
    from doorward.cli import main
    sys.argv[1:], sys.stdin = command, io.StringIO("a-long-walk-by-the-sea\\n")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as end:
            return end.code or 0, err.getvalue()
        except BaseException:
            return "raised", traceback.format_exc()

for name, missing in environments.items():
    said, says = os.pipe()
    if os.fork() == 0:
        os.makedirs(name)
        os.chdir(name)
        sys.modules.update(dict.fromkeys(missing))
        with os.fdopen(says, "w") as out:
            json.dump([run(command) for command in commands], out)
        os._exit(0)
    os.close(says)
    with os.fdopen(said) as answers:
        print(json.dumps([name, json.load(answers)]))
    os.wait()
"""


def closure(extra: str) -> Iterator[str]:
    """The extras that an extra includes, and itself."""
    yield extra
    for wanted in EXTRAS[extra]:
        if wanted.startswith("doorward["):
            for inner in wanted.removeprefix("doorward[").removesuffix("]").split(","):
                yield from closure(inner)


def distributions(extra: str) -> set[str]:
    """What the extras of an extra ask for by name."""
    asked = [each for inner in closure(extra) for each in EXTRAS[inner] if not each.startswith("doorward[")]
    return {re.split(r"[^A-Za-z0-9_-]", each)[0] for each in asked}


def missing_with(extra: str) -> list[str]:
    """The modules of all extras but those that this one brings: itself, or by what it asks for."""
    brought, left = set(), [*distributions(extra)]
    while left:
        brought.add(name := left.pop())
        asked = [each for each in requires(name) or [] if "extra ==" not in each]
        left += {re.split(r"[^A-Za-z0-9_-]", each)[0].lower() for each in asked} & distributions("all") - brought
    absent = distributions("all") - brought
    return [module for module, owners in packages_distributions().items() if absent & {name.lower() for name in owners}]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Any, str]]]:
    """What each command answers, by the extra that alone is installed."""
    asked = json.dumps([{extra: missing_with(extra) for extra in ENVIRONMENTS}, COMMANDS])
    done = subprocess.run(
        [sys.executable, "-c", IN_EACH_ENVIRONMENT, asked],
        cwd=tmp_path_factory.mktemp("environments"),
        env=os.environ | {"DOORWARD_INSECURE_FAST_HASHING": "on"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return {name: [tuple(each) for each in said] for name, said in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("extra", ENVIRONMENTS)
def test_whoever_has_the_script_gets_an_answer_or_one_line_that_says_what_to_install(
    answers: dict[str, list[tuple[Any, str]]], extra: str
) -> None:
    for command, (code, err) in zip(COMMANDS, answers[extra], strict=True):
        assert code != "raised", f"{command}: {err}"
        if "not installed" in err:
            told = ONE_LINE.fullmatch(err)
            assert told is not None, err
            assert (code, told[1] in closure(extra)) == (2, False), (command, err)


@pytest.mark.parametrize("extra", ["fastapi", "server"])
def test_the_command_that_errors_name_works_in_an_application(
    answers: dict[str, list[tuple[Any, str]]], extra: str
) -> None:
    said = dict(zip(map(" ".join, COMMANDS), answers[extra], strict=True))
    assert said["migrate --database sqlite:///doorward.db"] == (0, "")
    assert said["accounts create ada@example.com --password-stdin"][0] == 0


@pytest.mark.parametrize("extra", ["starlette", "fastapi", "litestar", "server", "all"])
def test_an_application_without_a_command_line_of_its_own_has_the_script(extra: str) -> None:
    assert "cli" in closure(extra)


def test_the_version_is_that_of_the_package() -> None:
    assert doorward.__version__ == version("doorward")


@pytest.fixture(scope="module")
def metadata() -> Message:
    """What a package index is told."""
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.metadata.spec import get_core_metadata_constructors
    from hatchling.plugin.manager import PluginManager

    made = get_core_metadata_constructors()["2.4"](ProjectMetadata(str(ROOT), PluginManager()))
    return message_from_string(made)


def test_every_link_of_the_readme_works_on_a_package_index(metadata: Message) -> None:
    readme = str(metadata.get_payload())
    targets = re.findall(r"\]\(([^)\s]+)", readme)
    ours = [target for target in targets if target.startswith((REPOSITORY, PICTURES))]
    assert len(ours) > 20
    for target in targets:
        assert re.match(r"https?:|#", target), target
    for target in ours:
        path = re.sub(r"^https://[^/]+/doorward/doorward/(?:blob/)?main/", "", target).partition("#")[0]
        assert (ROOT / path).exists(), target
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)", readme)
    assert pictures
    assert all(picture.startswith(PICTURES) for picture in pictures)


def test_a_package_index_shows_where_the_project_is(metadata: Message) -> None:
    urls = dict(each.split(", ") for each in metadata.get_all("Project-URL") or [])
    assert {*urls} == {"Documentation", "Source", "Issues", "Changelog"}
    assert all(url.startswith(REPOSITORY) for url in urls.values())
