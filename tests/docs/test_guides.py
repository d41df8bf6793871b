"""What the guides show is run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def module_of(page: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """All Python of a page, as one module."""
    source = "\n".join(_BLOCK.findall((GUIDES / page).read_text()))
    assert source
    module = ModuleType(page.removesuffix(".md").replace("-", "_"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source, page, "exec", dont_inherit=True), module.__dict__)
    return module


@pytest.mark.parametrize("page", ["connections-that-stay-open.md", "what-a-route-demands.md"])
def test_the_examples_of_a_guide_are_an_application(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert module_of(page, monkeypatch).app.routes
