from __future__ import annotations

from pathlib import Path

import pytest

from tests.geo import write_geo_database


@pytest.fixture(scope="session")
def a_geo_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Knows 127.0.0.0/8 by city and country, and 10.0.0.0/8 by country."""
    file = tmp_path_factory.mktemp("geo") / "places.mmdb"
    write_geo_database(file)
    return file
