"""What a profiler saw is told of each function by itself, and of whose code it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring import Run
from benchmarks.profiles import publish_profiles, shares


def a_frame(function: str, file: str, time: float, *children: dict[str, Any]) -> dict[str, Any]:
    return {"function": function, "file_path": file, "time": time, "children": list(children)}


SESSION = {
    "root_frame": a_frame(
        "run",
        "/env/lib/python3.12/site-packages/uvicorn/server.py",
        10.0,
        a_frame("[self]", "", 4.0),
        a_frame(
            "__call__",
            "/somewhere/src/doorward/web/asgi.py",
            6.0,
            a_frame("application", "/somewhere/benchmarks/applications/bare.py", 1.0),
            a_frame("dumps", "/usr/lib/python3.12/json/__init__.py", 2.0),
        ),
    )
}


def test_a_function_is_told_without_what_it_called_and_no_place_of_the_machine_is() -> None:
    profile = shares("Checking", SESSION)
    assert profile.packages == {"uvicorn": 0.4, "doorward": 0.3, "Python": 0.2, "the application": 0.1}
    assert profile.functions == {
        "uvicorn/server.py run": 0.4,
        "doorward/web/asgi.py __call__": 0.3,
        "__init__.py dumps": 0.2,
        "applications/bare.py application": 0.1,
    }


def test_profiles_are_published(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    publish_profiles(Run(folder=tmp_path), [shares("Checking", SESSION)])
    page = (tmp_path / "profiles.md").read_text()
    assert "| `doorward/web/asgi.py __call__` | 30.0% |" in page
    assert (tmp_path / "profiles.svg").exists()
