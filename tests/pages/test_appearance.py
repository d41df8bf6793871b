"""A folder of one's own: its files take the place of ours, or come beside them, and mistakes are told at start."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorward.errors import ConfigurationError
from doorward.pages import Pages
from doorward.pages.appearance import LARGEST_FILE
from tests.pages.visitor import Visitor, a_visited_world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "theme.css").write_text(":root { --dw-accent: rebeccapurple; }")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "sign_in.html").write_text(
        '{% extends "doorward/sign_in.html" %}\n'
        '{% block footer %}<p>{{ name }}: {{ t("imprint") }}</p>{{ super() }}{% endblock %}'
    )
    (tmp_path / "en.toml").write_text('imprint = "Imprint"\nsign_in = "Enter"\n')
    (tmp_path / "fr.toml").write_text('language_name = "Français"\nsign_in = "Se connecter"\n')
    # Neither is ours to read.
    (tmp_path / "README.md").write_text("notes")
    (tmp_path / "pyproject.toml").write_text("")
    return tmp_path


@pytest.mark.anyio
async def test_files_of_ones_own_take_the_place_of_ours(folder: Path) -> None:
    async with a_visited_world(pages=Pages(name="Acme <& Sons>", folder=folder)) as world:
        visitor = Visitor(world)
        page = await visitor.open("/sign-in")
        assert "Acme <& Sons>: Imprint" in page.text
        assert "<& Sons>" not in page.html
        assert "<title>Enter – Acme" in page.html
        loaded = [said.get("href") or said.get("src") or "" for _, said in page.tags]
        for name, content in {"logo.png": b"\x89PNG", "theme.css": b"rebeccapurple"}.items():
            address = next(each for each in loaded if each.startswith(f"assets/{name}?v="))
            answer = await world.client().get(f"/{address}")
            assert content in answer.body
        assert "assets/logo.svg" not in page.html
        visitor.headers["accept-language"] = "fr-CA"
        page = await visitor.open("/sign-in")
        assert "Se connecter" in page.text
        # English stands in, that of the folder before ours.
        assert "Imprint" in page.text
        assert "E-mail address" in page.text
        for name in ("README.md", "pyproject.toml", "sign_in.html", "fr.toml"):
            assert (await world.client().get(f"/assets/{name}")).status == 404


@pytest.mark.anyio
async def test_what_an_account_is_called_cannot_become_markup(folder: Path) -> None:
    (folder / "sessions.html").write_text(
        '{% extends "doorward/sessions.html" %}{% block title %}{{ account.name }}{% endblock %}'
    )
    async with a_visited_world(pages=Pages(folder=folder)) as world:
        visitor = Visitor(world, user_agent="<script>alert(1)</script>")
        page = await visitor.open("/sign-up")
        fields = {"email": "eve@example.com", "password": "a walrus in seven teapots", "name": "<b onclick=x>"}
        page = await visitor.submit(page, "sign-up", **fields)
        assert page.address == "/sessions"
        assert "<title>&lt;b onclick=x&gt;" in page.html
        assert "<script>" not in page.html


@pytest.mark.parametrize(
    ("name", "content", "problem", "says"),
    [
        ("sign_in.html", b"{% block", "DW123", "sign_in.html:1"),
        ("sign_in.html", b"\xff", "DW123", "utf-8"),
        ("fr.toml", b"not toml", "DW123", "at line 1"),
        ("fr.toml", b"a = 1", "DW123", "every value is a text"),
        ("fr.toml", b"[other]\na = 'b'", "DW123", "every value is a text"),
        ("logo.png", b"x" * (LARGEST_FILE + 1), "DW123", "larger than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_at_start(
    tmp_path: Path, name: str, content: bytes, problem: str, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        Pages(folder=tmp_path)
    (found,) = refused.value.problems
    assert found.id == problem
    assert says in str(found)


def test_a_folder_that_is_not_there_is_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Pages(folder=tmp_path / "missing")
    assert [problem.id for problem in refused.value.problems] == ["DW122"]


@pytest.mark.anyio
async def test_a_layout_that_fails_is_answered_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "layout.html").write_text("{{ nothing_of_this_name }}")
    async with a_visited_world(pages=Pages(folder=tmp_path)) as world:
        answer = await world.client().get("/sign-in")
        assert (answer.status, answer.header("content-type")) == (500, "text/plain")
        assert len(world.bugs.found) == 2
        world.bugs.found.clear()


@pytest.mark.anyio
async def test_templates_are_handed_nothing_secret(tmp_path: Path) -> None:
    (tmp_path / "sessions.html").write_text("{{ account }}{{ account.roles }}{{ sessions }}")
    async with a_visited_world(pages=Pages(folder=tmp_path)) as world:
        page = await Visitor(world).sign_in()
        assert "ada@example.com" in page.html
        assert "hash" not in page.html
