"""IP addresses as servers and proxies write them, and the network that an address is counted by."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address

_LONGEST = 100
"""Characters of an address with brackets, a zone and a port."""

_BRACKETS = re.compile(r"\[([^\[\]]+)\](?::[0-9]{1,5})?", re.ASCII)
_IPV4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}", re.ASCII)
_ZONE = re.compile(r"%.+\Z", re.DOTALL)

# RFC 6052 section 2.1: IPv4 clients behind a translator.
_TRANSLATED = IPv6Network("64:ff9b::/96")


def parse_address(text: str) -> IPAddress | None:
    """The IP address that a text gives, or None.

    A port, brackets, the quotes of RFC 7239 and an IPv6 zone are removed: none of them says who connects.  IPv4-mapped
    and translated IPv6 addresses become the IPv4 address that they stand for.

    Args:
        text: such as ``203.0.113.9:4711``, ``[2001:db8::1]:443`` or ``::ffff:203.0.113.9``.
    """
    if len(text) > _LONGEST:
        return None
    bare = text.strip().strip('"')
    inner = _BRACKETS.fullmatch(bare) or _IPV4_WITH_PORT.fullmatch(bare)
    try:
        return _folded(ip_address(_ZONE.sub("", inner[1] if inner else bare)))
    except ValueError:
        return None


def _folded(address: IPAddress) -> IPAddress:
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def network_of(address: IPAddress) -> str:
    """What one caller is counted by: an IPv4 address, or the /64 of an IPv6 address, which one subscriber has whole."""
    if isinstance(address, IPv6Address):
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)
