"""Notices that the addresses of clients are lost in a proxy whose headers are not trusted."""

from __future__ import annotations

import logging

from doorward.addresses import parse_address
from doorward.http.message import Request

ENOUGH = 10
"""Requests after which there is no doubt."""

_HEADERS = ("x-forwarded-for", "x-real-ip", "forwarded")

_log = logging.getLogger(__name__)


def hides_its_client(request: Request) -> bool:
    """Decide whether a request came from a proxy whose word on the client's address was not taken.

    It did where the server names a private address, or none, and a header names somebody else.  Where a proxy is
    trusted, the server's address is one of those in the header.
    """
    said = [request.headers[name] for name in _HEADERS if name in request.headers]
    if not said:
        return False
    peer = parse_address(request.client or "")
    if peer is None:
        return not request.client
    named = (parse_address(part.rpartition("=")[2]) for text in said for part in text.replace(";", ",").split(","))
    return not peer.is_global and peer not in named


def is_public(request: Request) -> bool:
    """Whether the server has found out an address that is no proxy's of our own network."""
    peer = parse_address(request.client or "")
    return peer is not None and peer.is_global


class ProxyWatch:
    """Warns once, where every request comes from a proxy whose forwarding headers nobody reads."""

    def __init__(self) -> None:
        self._seen = 0
        self._is_settled = False

    def notice(self, request: Request) -> None:
        """Take note of a request.  After a warning, or a public address, it costs nothing."""
        if self._is_settled:
            return
        if hides_its_client(request):
            self._seen += 1
            if self._seen >= ENOUGH:
                self._is_settled = True
                _log.warning(_WARNING, ENOUGH, request.client or "a socket without an address")
        elif is_public(request):
            self._is_settled = True


watch = ProxyWatch()
"""Of this process: the addresses come from its server, whichever deployment answers."""

_WARNING = (
    "%s requests came from %s with forwarding headers that are not trusted: all clients are limited as one address, and"
    " sessions and the audit trail have the proxy's. Name the proxy: DOORWARD_FORWARDED_ALLOW_IPS for doorward serve,"
    " --forwarded-allow-ips for uvicorn and gunicorn, ProxyFix for Flask, a middleware for Django."
)
