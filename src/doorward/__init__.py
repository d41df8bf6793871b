"""Authentication for Python applications: sessions, JWTs and the hybrid of both behind one session model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from doorward.assurance import Demands
    from doorward.audit.model import Actor, Origin
    from doorward.blocking import run_blocking
    from doorward.doorward import Doorward
    from doorward.options import Options
    from doorward.principal import Principal
    from doorward.secret import Secret
    from doorward.verifier import Verifier

__all__ = ["Actor", "Demands", "Doorward", "Options", "Origin", "Principal", "Secret", "Verifier", "run_blocking"]

_HOME = {
    "Actor": "doorward.audit.model",
    "Demands": "doorward.assurance",
    "Doorward": "doorward.doorward",
    "Options": "doorward.options",
    "Origin": "doorward.audit.model",
    "Principal": "doorward.principal",
    "Secret": "doorward.secret",
    "Verifier": "doorward.verifier",
    "run_blocking": "doorward.blocking",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: ``doorward --help`` needs none of them."""
    if name == "__version__":
        from importlib.metadata import version

        return version("doorward")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
