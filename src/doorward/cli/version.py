"""``doorward version``."""

from __future__ import annotations


def version() -> None:
    """Print the versions of Doorward and of Python."""
    import platform

    from doorward import __version__

    print(f"doorward {__version__}, Python {platform.python_version()}")
