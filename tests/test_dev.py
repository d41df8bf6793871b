"""The developer's tool: what it decides by itself.  Nothing here installs anything."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

import dev


def write(root: Path, **pages: str) -> None:
    for name, text in pages.items():
        (root / f"{name}.md").write_text(text)


def test_a_link_to_a_page_and_to_a_heading_is_alive(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="[b](b.md) [there](b.md#the-hot-path) [two](b.md#twice-1) ![p](<b.md>) [web](https://example.org/x)\n"
        "[r][r]\n\n[r]: b.md#end",
        b="# The *hot* path\n## Twice\n## Twice\n<a id='x'></a><a id=\"end\"></a>",
    )
    assert list(dev.dead_links(tmp_path)) == []


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("[gone](gone.md)", "gone.md: no such file"),
        ("[gone](b.md#gone)", "b.md#gone: no such heading"),
        ("[twice](b.md#once-1x)", "b.md#once-1x: no such heading"),
        ("[here](#gone)", "#gone: no such heading"),
        ("[root](/gone.md)", "/gone.md: no such file"),
        ("[image in a link ![i](gone.png)](b.md)", "gone.png: no such file"),
        ("[r][r]\n\n[r]: gone.md", "gone.md: no such file"),
        ("[out of the repository](../)", "../: no such file"),
    ],
)
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, link: str, complaint: str) -> None:
    write(tmp_path, a=link, b="# Once")
    assert list(dev.dead_links(tmp_path)) == [f"a.md: {complaint}"]


def test_code_holds_no_links(tmp_path: Path) -> None:
    write(
        tmp_path, a="`x[0](y)`\n\n```python\nhandlers[name](request)\n```\n\n```\n# no heading\n```\n[h](#no-heading)"
    )
    assert list(dev.dead_links(tmp_path)) == ["a.md: #no-heading: no such heading"]


def test_pages_of_others_are_not_read(tmp_path: Path) -> None:
    for folder in (".venv", "node_modules"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, a="[gone](gone.md)")
    assert list(dev.dead_links(tmp_path)) == []


def test_a_stamp_tells_a_change_of_a_file_from_a_change_of_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("a==1")
    before = dev.fingerprint(lock)
    assert dev.fingerprint(lock) == before

    lock.write_text("a==2")
    other_content = dev.fingerprint(lock)
    assert other_content != before
    assert other_content[:2] == before[:2]

    monkeypatch.setattr(dev, "ROOT", tmp_path)
    assert dev.fingerprint(lock)[:2] != before[:2]


def test_a_stamp_does_not_confuse_where_one_file_ends_and_the_next_begins(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("ab")
    two.write_text("c")
    before = dev.fingerprint(one, two)
    one.write_text("a")
    two.write_text("bc")
    assert dev.fingerprint(one, two) != before


def test_the_interpreter_is_not_that_of_a_virtual_environment() -> None:
    assert not dev.PYTHON.is_relative_to(dev.VENV)
    assert dev.PYTHON.is_relative_to(Path(sys.base_prefix).resolve())


def test_the_lock_is_stale_once_pyproject_asks_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, lock = tmp_path / "pyproject.toml", tmp_path / "requirements.lock"
    project.write_text('[project]\ndependencies = ["a"]\n[dependency-groups]\ndev = ["b"]\n')
    lock.write_text(f"# made\n{dev.wishes(tomllib.loads(project.read_text()))}\na==1\n")
    monkeypatch.setattr(dev, "PROJECT", project)
    monkeypatch.setattr(dev, "LOCK", lock)
    assert list(dev.stale_lock()) == []

    project.write_text(project.read_text() + "[tool.ruff]\nline-length = 120\n")
    assert list(dev.stale_lock()) == []

    project.write_text('[project]\ndependencies = ["a", "c"]\n[dependency-groups]\ndev = ["b"]\n')
    assert len(list(dev.stale_lock())) == 1


def test_the_lock_names_no_host_no_path_and_not_the_project_itself() -> None:
    lines = dev.LOCK.read_text().splitlines()
    required = [line.split(" ")[0] for line in lines if line and line[0] not in "# "]
    assert required
    assert all("==" in requirement for requirement in required)
    assert not any(requirement.startswith("doorward") for requirement in required)
    assert not any("://" in line or line.startswith("-") or "/" in line.partition("(")[2] for line in lines)


def test_an_unknown_command_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["serve"]) == 2
    shown = capsys.readouterr().out
    assert all(f"dev.py {command}" in shown for command in dev.COMMANDS)


def test_every_check_runs_though_one_has_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev, "setup", lambda _: 0)
    monkeypatch.setattr(dev, "CHECKS", {"first": lambda: iter(["a complaint"]), "second": lambda: iter(())})
    assert dev.main(["check"]) == 1
    shown = capsys.readouterr().out
    assert "FAILED first" in shown
    assert "a complaint" in shown
    assert "ok     second" in shown
