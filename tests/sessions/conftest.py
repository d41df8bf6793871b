from __future__ import annotations

from tests.sessions.deployments import clock, database, sqlite, template

__all__ = ["clock", "database", "sqlite", "template"]
