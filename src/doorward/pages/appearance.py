"""What the pages look like and say: our files, and in their place those of the deployment's own folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jinja2 import (
    ChoiceLoader,
    DictLoader,
    Environment,
    PrefixLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
)

from doorward.errors import ConfigurationError, Problem
from doorward.pages.languages import FALLBACK, Language, read_language

LARGEST_FILE = 1024 * 1024

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_LANGUAGE = re.compile(r"[a-z]{2,3}\.toml")
_THEME = "theme.css"
_LOGOS = ("logo.svg", "logo.png", "logo.webp", "logo.jpg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file that pages load.

    Args:
        content: whole.
        media_type: by the file's suffix.
        version: changes with the content, so that browsers may keep it for good.
    """

    content: bytes
    media_type: str
    version: str


class Appearance:
    """Everything is read once, here: no request touches the disk, and a mistake is told at start.

    Args:
        folder: files that take the place of ours by their names (``sign_in.html``, ``de.toml``), or come beside them
            (``theme.css``, ``logo.svg``, ``fr.toml``); None for ours alone.

    Raises:
        ConfigurationError: the folder or a file in it cannot be used.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        ours, own = _read(files("doorward.pages")), _read_folder(folder)
        try:
            self.languages = _languages(ours, own)
            self.assets = {name: _asset(name, content) for name, content in (ours | own).items() if _is_asset(name)}
            self._environment = _environment(ours, own)
        except (ValueError, TemplateError) as error:
            where = f" ({error.name}:{error.lineno})" if isinstance(error, TemplateSyntaxError) else ""
            message = f"A file in the pages' folder {folder} cannot be used{where}: {error}."
            raise ConfigurationError(
                [Problem(id="DW123", message=message, remedy="See docs/guides/hosted-pages.md.")]
            ) from None
        self.logo = next(name for name in (*(each for each in _LOGOS if each in own), _LOGOS[0]) if name in self.assets)
        self.theme = _THEME if _THEME in self.assets else None

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """A page.  Whatever is put into it is escaped."""
        return self._environment.get_template(template).render(values)

    def address_of(self, name: str) -> str:
        """Where pages find an asset, relative to themselves: it holds wherever they are mounted."""
        return f"assets/{name}?v={self.assets[name].version}"


def _read(package: Traversable) -> dict[str, bytes]:
    folders = (package / name for name in ("templates", "assets", "languages"))
    return {file.name: file.read_bytes() for folder in folders for file in folder.iterdir() if file.is_file()}


def _read_folder(folder: Path | str | None) -> dict[str, bytes]:
    if folder is None:
        return {}
    found: dict[str, bytes] = {}
    try:
        for file in sorted(Path(folder).iterdir()):
            if file.suffix in {".html", *_MEDIA_TYPES} or _LANGUAGE.fullmatch(file.name):
                with file.open("rb") as opened:
                    found[file.name] = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        message = f"The pages' folder {folder} cannot be read: {error.strerror}."
        remedy = "Give a folder that whoever runs Doorward can read, or leave it out."
        raise ConfigurationError([Problem(id="DW122", message=message, remedy=remedy)]) from None
    for name, content in found.items():
        if len(content) > LARGEST_FILE:
            message = f"{name} in the pages' folder {folder} is larger than 1 MiB."
            raise ConfigurationError(
                [Problem(id="DW123", message=message, remedy="Pages load it each time: make it smaller.")]
            )
    return found


def _languages(ours: Mapping[str, bytes], own: Mapping[str, bytes]) -> Mapping[str, Language]:
    codes = [name.removesuffix(".toml") for name in sorted({*ours, *own}) if name.endswith(".toml")]
    return {code: read_language(code, *_texts(code, ours, own)) for code in codes}


def _texts(code: str, ours: Mapping[str, bytes], own: Mapping[str, bytes]) -> list[str]:
    """The files that make a language, the weakest first: English stands in for what is not translated."""
    names = dict.fromkeys([f"{FALLBACK}.toml", f"{code}.toml"])
    return [where[name].decode() for name in names for where in (ours, own) if name in where]


def _is_asset(name: str) -> bool:
    return Path(name).suffix in _MEDIA_TYPES


def _asset(name: str, content: bytes) -> Asset:
    return Asset(
        content=content,
        media_type=_MEDIA_TYPES[Path(name).suffix],
        version=sha256(content).hexdigest()[:16],
    )


def _environment(ours: Mapping[str, bytes], own: Mapping[str, bytes]) -> Environment:
    """Templates by name, the folder's first; ``doorward/sign_in.html`` is ours for one that extends it."""
    built_in = DictLoader(_html(ours))
    environment = Environment(
        loader=ChoiceLoader([DictLoader(_html(own)), built_in, PrefixLoader({"doorward": built_in})]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for name in _html(dict(ours) | dict(own)):
        environment.get_template(name)
    return environment


def _html(found: Mapping[str, bytes]) -> dict[str, str]:
    return {name: content.decode() for name, content in found.items() if name.endswith(".html")}
