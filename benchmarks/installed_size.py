"""What packages take on the disk with all that they ask for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def python_size(wanted: str, site_packages: Path) -> int:
    """Bytes, without what is compiled from them.

    Args:
        wanted: a distribution with its extras, as pip takes it.
        site_packages: where it is installed.
    """
    found = distributions(path=[str(site_packages)])
    installed: dict[str, Distribution] = {canonicalize_name(each.name): each for each in found}
    return sum(_size(each) for each in _closure(Requirement(wanted), installed, set()))


def _closure(
    wanted: Requirement, installed: Mapping[str, Distribution], seen: set[tuple[str, str]]
) -> Iterator[Distribution]:
    name = canonicalize_name(wanted.name)
    # What is for another platform is not there.
    for extra in {"", *wanted.extras} if name in installed else ():
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        if not extra:
            yield installed[name]
        for needed in map(Requirement, installed[name].requires or []):
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                yield from _closure(needed, installed, seen)


def _size(found: Distribution) -> int:
    files = [Path(str(file.locate())) for file in found.files or []]
    if found.name == "doorward" and not any(str(file).startswith("doorward/") for file in found.files or []):
        # Where it is worked on, its files are in the repository.
        files += Path(__file__).parents[1].glob("src/doorward/**/*")
    return sum(file.stat().st_size for file in files if file.is_file() and "__pycache__" not in file.parts)


def node_size(wanted: str, folder: Path) -> int:
    """Bytes of a Node package and all that it asks for, as ``package-lock.json`` has them.

    Args:
        wanted: its name.
        folder: with the lock and ``node_modules``.
    """
    locked: Mapping[str, Mapping[str, Any]] = json.loads((folder / "package-lock.json").read_text())["packages"]
    return sum(_folder_size(folder / place) for place in _node_closure(f"node_modules/{wanted}", locked, set()))


def _node_closure(place: str, locked: Mapping[str, Mapping[str, Any]], seen: set[str]) -> set[str]:
    if place not in seen:
        seen.add(place)
        for name in locked[place].get("dependencies", {}):
            # The nearest one: inside the package that asks, else further out.
            around = place
            while around and f"{around}/node_modules/{name}" not in locked:
                around = around.rpartition("/node_modules/")[0]
            _node_closure(f"{around}/node_modules/{name}".lstrip("/"), locked, seen)
    return seen


def _folder_size(folder: Path) -> int:
    size = 0
    for at, inner, files in os.walk(folder):
        inner[:] = [name for name in inner if name != "node_modules"]
        size += sum(Path(at, name).lstat().st_size for name in files)
    return size
