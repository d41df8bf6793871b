"""``doorward doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from doorward.cli.flags import AsJson

if TYPE_CHECKING:
    from doorward.http.another_origin import Ways

_RELATIONS = {
    "same_origin": "one origin",
    "same_site": "two origins of one site",
    "cross_site": "two sites",
}
_BROWSERS = {"chromium": "Chrome, Edge", "firefox": "Firefox", "safari": "Safari"}
_WAYS = {
    "cookie": "A cookie of the API",
    "token": "Tokens in the page's memory",
    "proxy": "The API under the page's own origin",
}


def doctor(
    *,
    app: Annotated[str, typer.Option(help="The origin of the page, such as https://app.example.com.")],
    api: Annotated[str, typer.Option(help="The origin at which browsers reach Doorward.")],
    as_json: AsJson = False,
) -> None:
    """Say how a page of one origin can use Doorward at another, in which browsers, and with which settings.

    Nothing is asked over the network: it follows from the two origins and the public suffix list.
    """
    from publicsuffixlist import PublicSuffixList

    from doorward.cli.output import print_json
    from doorward.http.another_origin import decide_ways

    ways = decide_ways(app, api, registrable_domain=PublicSuffixList().privatesuffix)
    if as_json:
        print_json(ways)
    else:
        _tell(ways)


def _tell(ways: Ways) -> None:
    site = f" ({ways.site})" if ways.relation == "same_site" else ""
    print(f"{ways.app} and {ways.api} are {_RELATIONS[ways.relation]}{site}.")
    for number, way in enumerate(ways.ways):
        browsers = ", ".join(_BROWSERS[each] for each in way.works_in) or "no browser"
        print(f"\n{_WAYS[way.name]}: works in {browsers}{', the one to choose' if number == 0 else ''}")
        print(f"  {way.because[0].upper()}{way.because[1:]}.")
        if way.works_in:
            for name, value in way.settings.items():
                print(f"  {name}={value}")
            print(f"  {way.client}")
