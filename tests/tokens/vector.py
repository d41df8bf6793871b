"""One token of the vectors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """A token, and how it is answered.

    Args:
        refused: None where it is accepted, otherwise what is wrong, see vectors/README.md.
    """

    name: str
    token: str
    refused: str | None


def vector(name: str, refused: str | None, token: str) -> Vector:
    return Vector(name=name, token=token, refused=refused)
