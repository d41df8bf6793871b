"""The options of a verifier, and what makes a combination of them unusable."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError, Problem
from doorward.option_values import read_duration, read_number, read_text, read_values
from doorward.secret import Secret
from doorward.tokens.access import CLOCK_SKEW

OnStale = Literal["allow", "introspect", "deny"]
"""What happens to a request while the revocations are not known to be fresh: it is answered as by anybody who verifies
JWTs, the issuer is asked (RFC 7662), or it is refused with `NotFresh`."""

WhenCold = Literal["wait", "refuse"]
"""Whether ``start`` waits until the issuer has answered.  Before it has, every token is refused with `NotFresh`."""

CREDENTIAL_VARIABLE = "DOORWARD_VERIFIER_CREDENTIAL"

_READERS = {
    "issuer": read_text,
    "audience": read_text,
    "max_staleness": read_duration,
    "start_within": read_duration,
    "introspect_within": read_duration,
    "clock_skew": read_duration,
    "tokens_remembered": read_number,
}

_LEAST_STALENESS, _MOST_STALENESS = timedelta(seconds=1), timedelta(minutes=5)
_MOST_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierOptions:
    """How tokens are verified.

    Args:
        issuer: the server's address, claim ``iss``.
        audience: whom tokens must be for, claim ``aud``.
        credential: what ``doorward verifiers add NAME`` printed; None where there is none.
        max_staleness: how old the knowledge of revocations may be to count as fresh, 1 s to 5 min.
        on_stale: what happens to a request while it does not.
        when_cold: whether ``start`` waits for the issuer's first answers.
        start_within: how long it waits at most.
        introspect_within: how long asking the issuer about one token may take.
        clock_skew: how far the issuer's clock may be off; no more than the issuer itself allows.
        tokens_remembered: how many verified tokens are remembered at most; 20,000 take about 30 MB.
        tls: how the issuer's certificate is checked, where the system's authorities do not do.
        insecure_http: take an issuer without TLS.
        insecure_without_revocations: take no credential, and with it no revocations.
    """

    issuer: str
    audience: str
    credential: Secret | None = None
    max_staleness: timedelta = timedelta(seconds=5)
    on_stale: OnStale = "allow"
    when_cold: WhenCold = "wait"
    start_within: timedelta = timedelta(seconds=5)
    introspect_within: timedelta = timedelta(seconds=2)
    clock_skew: timedelta = CLOCK_SKEW
    tokens_remembered: int = 20_000
    tls: ssl.SSLContext | None = None
    insecure_http: bool = False
    insecure_without_revocations: bool = False

    def check(self) -> None:
        """Raises ConfigurationError naming everything that is wrong."""
        problems = [*_issuer_problems(self), *_knowledge_problems(self), *_range_problems(self)]
        if problems:
            raise ConfigurationError(problems)


def checked_options(**given: Any) -> VerifierOptions:
    """The options that a caller gives by name; durations may be whole seconds.

    Raises:
        ConfigurationError: a value has the wrong type or cannot be honoured; every problem at once.
    """
    read, problems = read_values(given, readers=_READERS)
    if problems:
        raise ConfigurationError(problems)
    options = VerifierOptions(**read)
    options.check()
    return options


def _issuer_problems(options: VerifierOptions) -> list[Problem]:
    found = []
    if not options.audience:
        remedy = "Name whom the tokens of this service are for; the server's DOORWARD_AUDIENCE says it."
        found.append(Problem(id="DW080", message="audience is empty.", remedy=remedy))
    if not _is_address(options.issuer):
        remedy = "Give the server's address as the tokens' iss has it, such as https://auth.example.com."
        found.append(Problem(id="DW081", message="issuer is no http or https address.", remedy=remedy))
    elif options.issuer.startswith("http:") and not options.insecure_http:
        message = "issuer has no TLS: whoever is on the way could give us keys of his own."
        remedy = "Give an https address, or insecure_http=True on a network that is yours, such as loopback."
        found.append(Problem(id="DW082", message=message, remedy=remedy))
    tls = options.tls
    if tls is not None and (tls.verify_mode is not ssl.CERT_REQUIRED or not tls.check_hostname):
        remedy = "Load the authority's certificate into the context instead: load_verify_locations."
        found.append(Problem(id="DW083", message="tls takes any certificate.", remedy=remedy))
    return found


def _is_address(issuer: str) -> bool:
    try:
        parts = urlsplit(issuer)
        usable = parts.port != 0
    except ValueError:
        return False
    plain = issuer.isascii() and issuer.isprintable() and " " not in issuer
    surplus = parts.query or parts.fragment or "@" in parts.netloc or "?" in issuer or "#" in issuer
    return plain and usable and parts.scheme in {"http", "https"} and bool(parts.hostname) and not surplus


def _knowledge_problems(options: VerifierOptions) -> list[Problem]:
    if options.credential is None and not options.insecure_without_revocations:
        message = "There is no credential to read revocations with."
        remedy = (
            f"Give credential, or the variable {CREDENTIAL_VARIABLE}: `doorward verifiers add NAME` prints one. "
            "Or insecure_without_revocations=True: then a session that ends is accepted until its tokens expire."
        )
        return [Problem(id="DW084", message=message, remedy=remedy)]
    if options.credential is not None:
        text = options.credential.reveal()
        if not (0 < len(text) <= 1024 and text.isascii() and text.isprintable() and " " not in text):
            remedy = "Give it as it was printed, without spaces or line ends."
            return [Problem(id="DW085", message="credential cannot stand in a header.", remedy=remedy)]
        if options.insecure_without_revocations:
            remedy = "Leave one of them out."
            message = "A credential is given, and insecure_without_revocations."
            return [Problem(id="DW086", message=message, remedy=remedy)]
    elif options.on_stale != "allow":
        message = "Without revocations nothing is ever fresh, and on_stale refuses or asks about everything."
        return [Problem(id="DW087", message=message, remedy='Use on_stale="allow", or give a credential.')]
    return []


def _range_problems(options: VerifierOptions) -> list[Problem]:
    checks = {
        "max_staleness is not from 1 s to 5 min.": _LEAST_STALENESS <= options.max_staleness <= _MOST_STALENESS,
        "clock_skew is not from 0 to 5 min.": timedelta() <= options.clock_skew <= _MOST_SKEW,
        "start_within is negative.": options.start_within >= timedelta(),
        "introspect_within is not more than 0.": options.introspect_within > timedelta(),
        "tokens_remembered is below 2.": options.tokens_remembered >= 2,
        "on_stale is unknown: it is allow, introspect or deny.": options.on_stale in get_args(OnStale),
        "when_cold is unknown: it is wait or refuse.": options.when_cold in get_args(WhenCold),
    }
    remedy = "Use a value in that range."
    return [Problem(id="DW088", message=message, remedy=remedy) for message, good in checks.items() if not good]
