"""What a person would call a device, from what its browser calls itself."""

from __future__ import annotations

from dataclasses import dataclass

# In this order: most browsers claim to be several others as well.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("okhttp/", "Android app"),
    ("CFNetwork/", "iOS app"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What is known of a device; None where it is not.  Nobody vouches for it: the client says so."""

    browser: str | None
    system: str | None


def read_device(user_agent: str | None) -> Device:
    """The device that a ``User-Agent`` header tells of."""
    agent = user_agent or ""
    return Device(browser=_first(_BROWSERS, agent), system=_first(_SYSTEMS, agent))


def _first(names: tuple[tuple[str, str], ...], agent: str) -> str | None:
    return next((name for sign, name in names if sign in agent), None)
