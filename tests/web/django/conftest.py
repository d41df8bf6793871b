"""The monolith of the examples, with a database of its own for each process of the tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parents[3]
_FOLDER = TemporaryDirectory(prefix="doorward-django-", ignore_cleanup_errors=True)

# Django is set up once a process, before anything imports its models.
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "monolith.settings",
    "MONOLITH_DATA": _FOLDER.name,
    "MONOLITH_FAST_HASHING": "1",
}
sys.path.insert(0, str(ROOT / "examples" / "django_monolith"))

import django  # noqa: E402 -- after what it reads

django.setup()


@pytest.fixture(scope="session", autouse=True)
def migrated() -> Iterator[None]:
    from django.core.management import call_command
    from django.db import connections

    from doorward.web.django.conf import forget

    call_command("migrate", verbosity=0)
    yield
    forget()
    connections.close_all()
    sys.path.remove(str(ROOT / "examples" / "django_monolith"))
