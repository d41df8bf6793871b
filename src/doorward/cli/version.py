"""``doorward version``."""

from __future__ import annotations


def version() -> None:
    """Print the versions of Doorward and of Python."""
    import platform
    from importlib.metadata import version as version_of

    print(f"doorward {version_of('doorward')}, Python {platform.python_version()}")
