"""The code of a page."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from types import ModuleType

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
_BLOCK = re.compile(r"^ *```(\S*)(?: title=(\S+))?\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def block(page: str, title: str = "", *, language: str = "python") -> str:
    """The one block of a page with this title."""
    found = [
        textwrap.dedent(text)
        for kind, name, text in _BLOCK.findall((GUIDES / page).read_text())
        if (kind, name) == (language, title)
    ]
    assert len(found) == 1, (page, title, len(found))
    return found[0]


def run_block(page: str, title: str = "") -> ModuleType:
    """The block as a module."""
    module = ModuleType(title.removesuffix(".py") or "page")
    exec(compile(block(page, title), page, "exec", dont_inherit=True), module.__dict__)
    return module


def says(page: str, command: str) -> str:
    """A command that the page shows, to be run."""
    assert command in (GUIDES / page).read_text()
    return command
