"""A geo database of tests: no real one may be shipped, and none stays true."""

from __future__ import annotations

from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet

COUNTRY = {"iso_code": "XD", "names": {"en": "Discworld", "de": "Scheibenwelt"}}


def write_geo_database(file: Path) -> None:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Test-City", languages=["en", "de"])
    city = {"city": {"names": {"en": "Ankh"}}, "country": COUNTRY}
    writer.insert_network(IPSet(["127.0.0.0/8"]), city)
    writer.insert_network(IPSet(["10.0.0.0/8"]), {"country": COUNTRY})
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"city": "a text", "country": {"names": ["a list"]}})
    writer.to_db_file(str(file))
