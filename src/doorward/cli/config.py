"""``doorward config show``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doorward.cli.flags import AsJson, Config, group

if TYPE_CHECKING:
    from doorward.server.settings import Loaded

MASK = "***"

app = group("Show the settings.")


@app.callback()
def settings() -> None:
    """Show the settings."""


@app.command()
def show(*, config: Config = None, as_json: AsJson = False) -> None:
    """Every setting, what it is, and where that comes from.  Secrets are masked.  Durations are in seconds."""
    from doorward.cli.output import print_json, print_table
    from doorward.errors import ConfigurationError
    from doorward.options import Options, problems_of
    from doorward.server.settings import load_settings

    loaded = load_settings(config=config)
    shown = [
        {"name": name, "value": value, "from": str(loaded.origins[name]) if name in loaded.origins else "default"}
        for name, value in _values(loaded).items()
    ]
    if as_json:
        print_json({"settings": shown})
    else:
        print_table(("setting", "value", "from"), [(row["name"], _text(row["value"]), row["from"]) for row in shown])
    problems = problems_of(Options(**loaded.settings.options))
    if problems:
        raise ConfigurationError(problems)


def _values(loaded: Loaded) -> dict[str, Any]:
    settings = loaded.settings
    named = {name: getattr(settings, name) for name in type(settings).model_fields} | {
        "issuer": settings.options["issuer"]
    }
    return {name: _plain_value(value) for name, value in named.items()}


def _plain_value(value: Any) -> Any:
    """A JSON value, without what is secret."""
    from doorward.secret import Secret

    if isinstance(value, Secret):
        return MASK
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, Mapping):
        return {name: _plain_value(each) for name, each in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain_value(each) for each in value]
    return re.sub(r"(://[^/@:]*):[^/@]*@", rf"\1:{MASK}@", value) if isinstance(value, str) else value


def _text(value: Any) -> str | None:
    if value is None or value in ([], {}):
        return None
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return "; ".join(f"{name}: {' '.join(each)}" for name, each in value.items())
    return str(value)
