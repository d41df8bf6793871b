"""The environment variables that Kubernetes makes of a Service: ours begin alike where it is called ``doorward``.

A container gets them for every Service of its namespace, unless its pod says ``enableServiceLinks: false``.
"""

from __future__ import annotations

import re

from doorward.addresses import parse_address

_NUMBER = r"[0-9]{1,5}"
_PROTOCOL = r"(?:tcp|udp|sctp)"
_URL = re.compile(rf"{_PROTOCOL}://\S+:{_NUMBER}", re.ASCII)

# What may stand before each is the rest of the Service's name, as of doorward-postgres.
_BY_NAME = (
    (re.compile(r"(?:\w+_)?SERVICE_HOST", re.ASCII), None),
    (re.compile(r"(?:\w+_)?SERVICE_PORT(?:_\w+)?", re.ASCII), re.compile(_NUMBER, re.ASCII)),
    (re.compile(r"(?:\w+_)?PORT", re.ASCII), _URL),
    (re.compile(rf"(?:\w+_)?PORT_{_NUMBER}_{_PROTOCOL.upper()}", re.ASCII), _URL),
    (re.compile(rf"(?:\w+_)?PORT_{_NUMBER}_{_PROTOCOL.upper()}_PROTO", re.ASCII), re.compile(_PROTOCOL)),
    (re.compile(rf"(?:\w+_)?PORT_{_NUMBER}_{_PROTOCOL.upper()}_PORT", re.ASCII), re.compile(_NUMBER, re.ASCII)),
    (re.compile(rf"(?:\w+_)?PORT_{_NUMBER}_{_PROTOCOL.upper()}_ADDR", re.ASCII), None),
)


def is_service_variable(name: str, value: object) -> bool:
    """Decide whether Kubernetes has made a variable of a Service: both its name and its value have the form.

    Args:
        name: without ``DOORWARD_``.
        value: as it stands in the environment.
    """
    if not isinstance(value, str):
        return False
    return any(
        form.fullmatch(name) and (content.fullmatch(value) if content is not None else parse_address(value))
        for form, content in _BY_NAME
    )
