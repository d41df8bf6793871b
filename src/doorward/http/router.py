"""From method and path to the operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from doorward.http.operation import AnyOperation

_Methods = dict[str, AnyOperation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a path names.

    Args:
        methods: its operations, by method; HEAD is GET's.
        allowed: all methods that it takes.
        path: the parts of the path that the template names.
    """

    methods: Mapping[str, AnyOperation]
    allowed: tuple[str, ...]
    path: Mapping[str, str]


class Router:
    """Finds what a path names: by a dictionary where the path is fixed, part by part where it is a template.

    Args:
        table: the operations.
    """

    def __init__(self, table: Sequence[AnyOperation]) -> None:
        by_path: dict[str, _Methods] = {}
        for operation in table:
            methods = by_path.setdefault(operation.path, {})
            methods[operation.method] = operation
            if operation.method == "GET":
                methods["HEAD"] = operation
        self._fixed = {
            path: Resource(methods=methods, allowed=_allowed(methods), path={})
            for path, methods in by_path.items()
            if "{" not in path
        }
        self._templates = [
            (tuple(path.split("/")), methods, _allowed(methods)) for path, methods in by_path.items() if "{" in path
        ]

    def find(self, path: str) -> Resource | None:
        """What the path names, or None."""
        found = self._fixed.get(path)
        return found if found is not None else self._match(path.split("/"))

    def _match(self, parts: Sequence[str]) -> Resource | None:
        for template, methods, allowed in self._templates:
            if len(template) != len(parts):
                continue
            named: dict[str, str] = {}
            for wanted, part in zip(template, parts, strict=True):
                if wanted.startswith("{") and part:
                    named[wanted[1:-1]] = part
                elif wanted != part:
                    break
            else:
                return Resource(methods=methods, allowed=allowed, path=named)
        return None


def _allowed(methods: _Methods) -> tuple[str, ...]:
    return (*sorted(methods), "OPTIONS")
