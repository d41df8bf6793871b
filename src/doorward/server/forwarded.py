"""The client's address and scheme as trusted proxies give them: ``X-Forwarded-For`` and ``X-Forwarded-Proto``.

uvicorn's own middleware does not recognise a proxy by its IPv4-mapped address, which is what a socket on ``::`` sees,
and with ``*`` takes the first address of the header, which the client writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from doorward.addresses import parse_address
from doorward.web.asgi import App, Receive, Scope, Send

ANY_PEER = "*"
"""Whoever connects is a proxy, such as on a platform that lets nothing else in."""

Network = IPv4Network | IPv6Network


def parse_proxies(texts: Iterable[str]) -> tuple[Network | None, ...]:
    """The networks that proxies connect from; None for ``*``.

    Raises:
        ValueError: one is no address, no network and not ``*``, or is a network that has every address in it.
    """
    proxies = tuple(None if text == ANY_PEER else ip_network(text) for text in texts)
    if any(each is not None and each.prefixlen == 0 for each in proxies):
        raise ValueError("a network of all addresses")
    return proxies


def client_of(peer: str | None, forwarded: Sequence[str], proxies: Sequence[Network | None]) -> str | None:
    """Who made a request: the last address that was not added by, or for, a trusted proxy.

    Args:
        peer: who is connected.
        forwarded: the entries of ``X-Forwarded-For``; each proxy adds the address that it is connected with to the end.
        proxies: the trusted networks; None among them trusts whoever is connected, and nobody before.
    """
    if not forwarded or not (None in proxies or _is_within(peer, proxies)):
        return peer
    for entry in reversed(forwarded):
        if not _is_within(entry, proxies):
            return entry
    # All are proxies: the client is one of them.
    return forwarded[0]


def _is_within(text: str | None, networks: Sequence[Network | None]) -> bool:
    address = parse_address(text or "")
    return address is not None and any(address in network for network in networks if network is not None)


class ForwardedMiddleware:
    """Sets ``scope["client"]`` and ``scope["scheme"]`` by the headers of trusted proxies.

    Args:
        app: the application.
        proxies: see ``parse_proxies``.
    """

    def __init__(self, app: App, proxies: Sequence[Network | None]) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._apply(scope)
        await self._app(scope, receive, send)

    def _apply(self, scope: Scope) -> None:
        peer = scope["client"][0] if scope.get("client") else None
        if not (None in self._proxies or _is_within(peer, self._proxies)):
            return
        client = client_of(peer, _entries(scope, b"x-forwarded-for"), self._proxies)
        scope["client"] = (client, 0) if client is not None else None
        scheme = _entries(scope, b"x-forwarded-proto")
        if len(scheme) == 1 and scheme[0] in {"http", "https"}:
            scope["scheme"] = scheme[0]


def _entries(scope: Scope, name: bytes) -> list[str]:
    """What a list header says, over all lines of that name; empty entries are left out (RFC 9110 section 5.6.1)."""
    lines = (value.decode("latin-1") for key, value in scope["headers"] if key == name)
    return [entry for line in lines for part in line.split(",") if (entry := part.strip())]
