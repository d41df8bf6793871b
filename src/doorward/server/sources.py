"""Where settings come from: flags, the environment, ``doorward.toml``, and the files that secrets are kept in."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from doorward.errors import ConfigurationError, Problem
from doorward.service_variables import is_service_variable

PREFIX = "DOORWARD_"
CONFIG_FILE = Path("doorward.toml")
SECRETS = ("secret", "admin_key", "redis_url")
"""The settings that may stand in a file of their own, named by ``…_FILE``."""

_FILES = {f"{name}_file": name for name in SECRETS}
_LARGEST_FILE = 64 * 1024


class Source(StrEnum):
    """What a setting was given by, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a setting comes from.

    Args:
        source: by which way.
        name: of the setting there.
        file: the file that it was read from, or None.
    """

    source: Source
    name: str
    file: Path | None = None

    def __str__(self) -> str:
        match self.source:
            case Source.FLAG:
                return f"--{self.name.replace('_', '-')}"
            case Source.ENVIRONMENT:
                return PREFIX + self.name.upper()
            case Source.FILE:
                return f"{self.name} in {self.file}"
            case Source.DEFAULT:
                return f"the default of {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a source says of a setting."""

    value: Any = field(repr=False)
    origin: Origin


def gather(model: type[BaseSettings], flags: Mapping[str, Any], config: Path | None) -> dict[str, Given]:
    """What is said of each setting by the strongest source that mentions it.

    Raises:
        ConfigurationError: a name is unknown, or a file cannot be read; every problem at once.
    """
    problems: list[Problem] = []
    gathered: dict[str, Given] = {}
    # The weakest first, so that the stronger write over it.
    for said in (_file(config, problems), _environment(model, problems), _flags(flags)):
        known = _refuse_unknown(said, set(model.model_fields), problems)
        gathered |= _read_secret_files(known, problems)
    if problems:
        raise ConfigurationError(problems)
    return gathered


def _flags(flags: Mapping[str, Any]) -> dict[str, Given]:
    given = {name: value for name, value in flags.items() if value is not None}
    return {name: Given(value=value, origin=Origin(source=Source.FLAG, name=name)) for name, value in given.items()}


def _environment(model: type[BaseSettings], problems: list[Problem]) -> dict[str, Given]:
    """All variables of our prefix; a value that is no plain text, such as JSON, as pydantic-settings reads it."""
    others = {f"{PREFIX}CONFIG", *service_variables()}
    said = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(PREFIX) and name not in others
    }
    # An empty variable is as good as none, as it is common in compose files; but not where a secret was meant.
    values: dict[str, Any] = {name: value for name, value in said.items() if value or name in {*SECRETS, *_FILES}}
    try:
        parsed = EnvSettingsSource(model)()
        values |= {name: value for name, value in parsed.items() if name in said}
    except SettingsError:
        remedy = 'Give JSON, such as {"admin": ["reports:read"]}.'
        problems.append(Problem(id="DW061", message=f"{PREFIX}ROLE_SCOPES cannot be read.", remedy=remedy))
        values.pop("role_scopes", None)
    return {
        name: Given(value=value, origin=Origin(source=Source.ENVIRONMENT, name=name)) for name, value in values.items()
    }


def service_variables() -> list[str]:
    """The variables of our prefix that Kubernetes has made of Services; they are no settings of ours."""
    return sorted(
        name
        for name, value in os.environ.items()
        if name.startswith(PREFIX) and is_service_variable(name.removeprefix(PREFIX), value)
    )


def config_file(config: Path | None) -> Path | None:
    """The file that settings are read from, or None where there is none and none was asked for."""
    asked = config or (Path(text) if (text := os.environ.get(f"{PREFIX}CONFIG")) else None)
    return asked or (CONFIG_FILE if CONFIG_FILE.exists() else None)


def _file(config: Path | None, problems: list[Problem]) -> dict[str, Given]:
    path = config_file(config)
    if path is None:
        return {}
    try:
        values = tomllib.loads(_read(path))
    except (OSError, ValueError) as error:
        # Of a TOML error the position is told, and never the line, where a secret may stand.
        message = f"The settings in {path} cannot be read: {_cause(error)}."
        problems.append(Problem(id="DW062", message=message, remedy="Give the path of a TOML file that can be read."))
        return {}
    return {
        name: Given(value=value, origin=Origin(source=Source.FILE, name=name, file=path))
        for name, value in values.items()
    }


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ValueError("it is longer than 64 KiB")
    return content.decode()


def _cause(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _refuse_unknown(said: dict[str, Given], known: set[str], problems: list[Problem]) -> dict[str, Given]:
    names = known | _FILES.keys()
    for name, each in said.items():
        if name not in names:
            problems.append(_unknown(each.origin, names))
    return {name: each for name, each in said.items() if name in names}


def _unknown(origin: Origin, names: Iterable[str]) -> Problem:
    nearest = get_close_matches(origin.name, sorted(names), n=1, cutoff=0.6)
    spelt = Origin(source=origin.source, name=nearest[0], file=origin.file) if nearest else None
    remedy = f"Did you mean {spelt}?" if spelt else "Leave it out; doorward config show lists every setting."
    return Problem(id="DW060", message=f"{origin} is no setting of Doorward.", remedy=remedy)


def _read_secret_files(said: dict[str, Given], problems: list[Problem]) -> dict[str, Given]:
    """Put the content of the file in place of its name."""
    read = {name: each for name, each in said.items() if name not in _FILES}
    for name, setting in _FILES.items():
        each = said.get(name)
        if each is None:
            continue
        if setting in read:
            message = f"{each.origin} and {read[setting].origin} are both set."
            problems.append(Problem(id="DW064", message=message, remedy="Leave one of them out."))
            continue
        path = Path(str(each.value))
        try:
            content = _read(path)
        except (OSError, ValueError) as error:
            message = f"{each.origin}: {path} cannot be read: {_cause(error)}."
            remedy = "Let it be readable by whoever runs Doorward."
            problems.append(Problem(id="DW063", message=message, remedy=remedy))
            continue
        read[setting] = Given(value=content, origin=each.origin)
    return read
