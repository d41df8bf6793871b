"""Every option of a deployment, its default, and what makes a combination of them unusable.

The names are those of the environment (``DOORWARD_ACCESS_LIFETIME`` is ``access_lifetime``).  An option that
weakens a default has ``insecure_`` in its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypedDict, get_args
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError, Problem
from doorward.key_strength import weakness_of
from doorward.keys.model import Algorithm
from doorward.secret import Secret

Strategy = Literal["session", "jwt", "hybrid"]
"""How sessions that start from now on are carried."""

SignUpPolicy = Literal["open", "closed"]
"""Who may open an account for himself: everybody, or nobody."""

FIRST_PARTY = "first-party"
"""The client that a session is started through where no other is registered (claim ``client_id``)."""

LEAST_ADMIN_KEY_LENGTH = 24

# RFC 9110 section 5.6.2.  Browsers keep names that begin with two underscores for prefixes of their own.
_COOKIE_PREFIX = re.compile(r"(?!__)[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}", re.ASCII)

_LONGEST_ACCESS_LIFETIME = timedelta(seconds=900)
_IDLE_REMEMBERED = timedelta(days=14)
_DEFAULT_ISSUER = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a deployment.

    Args:
        strategy: how sessions that start from now on are carried; those that live are honoured until they end.
        issuer: the address of this deployment, claim ``iss``.
        audience: whom access tokens are for, claim ``aud``; None stands for the issuer.
        forward_audience: whom the short tokens are for that a reverse proxy hands to an upstream; None: it gets none.
        signing_algorithm: of access tokens; verification takes the algorithm of the key, never the token's.
        access_lifetime: how long an access token lives, 60 to 900 s.
        clock_skew: how far another machine's clock may be off.
        refresh_grace: how long the predecessor of a refresh token may be presented again, 0 to 60 s.
        lost_reply_window: how long a lost reply can be made good, 0 s to ``session_idle``.
        heal_lost_writes: whether a refresh token newer than the store (after a restore) is taken once.
        session_idle: a session whose owner did not ask to be remembered ends when it is not used for so long.
        session_idle_remembered: the same for a session that is remembered, and where the client keeps tokens itself;
            the default follows a longer ``session_idle`` and a shorter ``session_absolute``.
        session_absolute: a session ends after so long, used or not.
        sign_up: ``closed``: nobody opens an account over HTTP; the command line and the application do.
        session_limit: most live sessions of an account; 1 is single-device: the oldest ends.
        cookie_prefix: what the names of all cookies begin with: two applications on one host need two.
        password_minimum: the fewest characters of a password that is chosen from now on, 8 to 64.
        max_staleness: how old the knowledge of revocations may be where a caller asks for freshness.
        cors_origins: origins of pages elsewhere that may call with credentials.
        rate_limits: whether attempts are limited; off for load tests.
        admin_key: a bearer value that may call the admin operations; 24 random characters or more.
        role_scopes: the scopes that each role grants; ``"*"`` stands for every account.
        session_retention: how long ended sessions are kept, to explain why they ended.
        audit_retention: how long audit events are kept.
        status_lists: whether access tokens refer to a status list, for readers that can hold no connection.
        insecure_long_access_lifetime: take an ``access_lifetime`` of more than 900 s.
        insecure_short_passwords: take a ``password_minimum`` below 8.
        insecure_cookies_over_http: leave ``Secure`` off cookies on plain HTTP (Safari refuses it on loopback).
        insecure_fast_hashing: hash passwords at the least cost that argon2 takes; for tests.
    """

    strategy: Strategy = "hybrid"
    issuer: str = _DEFAULT_ISSUER
    audience: str | None = None
    forward_audience: str | None = None
    signing_algorithm: Algorithm = Algorithm.ES256
    access_lifetime: timedelta = timedelta(seconds=900)
    clock_skew: timedelta = timedelta(seconds=60)
    refresh_grace: timedelta = timedelta(seconds=10)
    lost_reply_window: timedelta = timedelta(seconds=300)
    heal_lost_writes: bool = False
    session_idle: timedelta = timedelta(seconds=43_200)
    session_idle_remembered: timedelta = _IDLE_REMEMBERED
    session_absolute: timedelta = timedelta(seconds=2_592_000)
    sign_up: SignUpPolicy = "open"
    session_limit: int | None = None
    cookie_prefix: str = "doorward"
    password_minimum: int = 8
    max_staleness: timedelta = timedelta(seconds=5)
    cors_origins: tuple[str, ...] = ()
    rate_limits: bool = True
    admin_key: Secret | None = None
    role_scopes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    session_retention: timedelta = timedelta(days=30)
    audit_retention: timedelta = timedelta(days=365)
    status_lists: bool = False
    insecure_long_access_lifetime: bool = False
    insecure_short_passwords: bool = False
    insecure_cookies_over_http: bool = False
    insecure_fast_hashing: bool = False

    def __post_init__(self) -> None:
        if self.session_idle_remembered == _IDLE_REMEMBERED:
            fitting = min(max(_IDLE_REMEMBERED, self.session_idle), self.session_absolute)
            object.__setattr__(self, "session_idle_remembered", fitting)

    @property
    def rest(self) -> timedelta:
        """How long a generation of refresh token lives before it may rotate: three times the grace."""
        return 3 * self.refresh_grace

    @property
    def token_audience(self) -> str:
        return self.audience or self.issuer

    @property
    def revocations_live_for(self) -> timedelta:
        """How long a revocation has to be remembered: until the last token that it names is dead everywhere.

        Counted with the longest lifetime that the option takes: it may have been longer a minute ago.
        """
        return max(self.access_lifetime, _LONGEST_ACCESS_LIFETIME) + 2 * self.clock_skew

    def scopes_of(self, roles: tuple[str, ...]) -> tuple[str, ...]:
        """The scopes that an account with these roles has, sorted."""
        if not self.role_scopes:
            return ()  # asked for twice with every token
        return tuple(sorted({scope for role in ("*", *roles) for scope in self.role_scopes.get(role, ())}))

    def checked(self) -> Options:
        """These options, once nothing in them contradicts or weakens the rest.

        Raises:
            ConfigurationError: with every problem at once.
        """
        problems = problems_of(self)
        if problems:
            raise ConfigurationError(problems)
        return self


class OptionFields(TypedDict, total=False):
    """The fields of ``Options``, for a signature that takes them by name."""

    strategy: Strategy
    issuer: str
    audience: str | None
    forward_audience: str | None
    signing_algorithm: Algorithm
    access_lifetime: timedelta
    clock_skew: timedelta
    refresh_grace: timedelta
    lost_reply_window: timedelta
    heal_lost_writes: bool
    session_idle: timedelta
    session_idle_remembered: timedelta
    session_absolute: timedelta
    sign_up: SignUpPolicy
    session_limit: int | None
    cookie_prefix: str
    password_minimum: int
    max_staleness: timedelta
    cors_origins: tuple[str, ...]
    rate_limits: bool
    admin_key: Secret | None
    role_scopes: Mapping[str, tuple[str, ...]]
    session_retention: timedelta
    audit_retention: timedelta
    status_lists: bool
    insecure_long_access_lifetime: bool
    insecure_short_passwords: bool
    insecure_cookies_over_http: bool
    insecure_fast_hashing: bool


def problems_of(options: Options) -> list[Problem]:
    """What makes these options unusable, each with its remedy."""
    checks = (_shape, _admin_key, _tokens, _refresh, _sessions, _passwords, _origins)
    return [problem for check in checks for problem in check(options)]


OPERATION_WITHIN = timedelta(seconds=8)
"""How long the server itself may take for one operation, at most: a store answers within that, or is given up."""


def findings_of(options: Options) -> list[Problem]:
    """What may be meant and deserves a second look, each with its remedy."""
    if options.strategy != "hybrid" or options.refresh_grace >= OPERATION_WITHIN:
        return []
    return [
        Problem(
            id="DW022",
            message=f"refresh_grace is {options.refresh_grace.total_seconds():.0f} s, and this server may take"
            f" {OPERATION_WITHIN.total_seconds():.0f} s for an answer: an honest client whose answer came late can be"
            " taken for a thief and signed out.",
            remedy="Use 8 s or more, unless each client sends an Idempotency-Key and one request at a time.",
        )
    ]


def _shape(options: Options) -> list[Problem]:
    found = []
    if options.strategy not in get_args(Strategy):
        found.append(
            Problem(
                id="DW001", message=f"strategy {options.strategy!r} is unknown.", remedy="Use session, jwt or hybrid."
            )
        )
    if options.sign_up not in get_args(SignUpPolicy):
        message = f"sign_up {options.sign_up!r} is unknown."
        found.append(Problem(id="DW005", message=message, remedy="Use open or closed."))
    if urlsplit(options.issuer).scheme not in {"http", "https"} or not urlsplit(options.issuer).netloc:
        found.append(
            Problem(
                id="DW002",
                message=f"issuer {options.issuer!r} is no http or https address.",
                remedy="Use the address that clients reach this deployment by, such as https://auth.example.com.",
            )
        )
    return found


def _admin_key(options: Options) -> list[Problem]:
    if options.admin_key is None:
        return []
    key = options.admin_key.reveal()
    weakness = weakness_of(key, least=LEAST_ADMIN_KEY_LENGTH)
    if weakness is None and not (key.isascii() and key.isprintable() and " " not in key):
        weakness = "has characters that no Authorization header can hold"
    if weakness is None:
        return []
    remedy = "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'."
    return [Problem(id="DW004", message=f"The admin key {weakness}.", remedy=remedy)]


def _tokens(options: Options) -> list[Problem]:
    found = []
    longest = timedelta(hours=24) if options.insecure_long_access_lifetime else _LONGEST_ACCESS_LIFETIME
    if not timedelta(seconds=60) <= options.access_lifetime <= longest:
        found.append(
            Problem(
                id="DW010",
                message=f"access_lifetime is {options.access_lifetime.total_seconds():.0f} s.",
                remedy="Use 60 to 900 s: what lives longer is as good as a password to whoever copies it."
                " insecure_long_access_lifetime takes up to a day.",
            )
        )
    if type(options.signing_algorithm) is not Algorithm:
        # A text that reads the same is none: nothing below, and nothing that makes keys, would know it for what it is.
        found.append(
            Problem(
                id="DW014",
                message=f"signing_algorithm {options.signing_algorithm!r} is no Algorithm.",
                remedy="Use Algorithm.ES256, RS256, EDDSA or HS256, of doorward.keys.model.",
            )
        )
    audiences = {options.token_audience, options.forward_audience or options.issuer}
    if options.signing_algorithm is Algorithm.HS256 and audiences != {options.issuer}:
        found.append(
            Problem(
                id="DW011",
                message="HS256 with an audience other than the issuer: whoever can verify can also mint.",
                remedy="Use ES256, or leave the audience to be the issuer itself.",
            )
        )
    if options.status_lists and options.signing_algorithm is Algorithm.HS256:
        found.append(
            Problem(
                id="DW013",
                message="status_lists with HS256: nobody but us could check a list.",
                remedy="Use ES256, RS256 or EdDSA.",
            )
        )
    if not timedelta(0) <= options.clock_skew <= timedelta(seconds=300):
        found.append(Problem(id="DW012", message="clock_skew is out of range.", remedy="Use 0 to 300 s."))
    return found


def _refresh(options: Options) -> list[Problem]:
    found = []
    if not timedelta(0) <= options.refresh_grace <= timedelta(seconds=60):
        found.append(
            Problem(
                id="DW020",
                message=f"refresh_grace is {options.refresh_grace.total_seconds():.0f} s.",
                remedy="Use 0 to 60 s: within it a stolen copy is answered like its owner.",
            )
        )
    if not timedelta(0) <= options.lost_reply_window <= options.session_idle:
        found.append(
            Problem(
                id="DW021",
                message=f"lost_reply_window is {options.lost_reply_window.total_seconds():.0f} s.",
                remedy="Use 0 s to session_idle.",
            )
        )
    return found


def _sessions(options: Options) -> list[Problem]:
    found = []
    if not timedelta(seconds=60) <= options.session_idle <= options.session_absolute:
        found.append(
            Problem(
                id="DW030",
                message="session_idle is shorter than a minute or longer than session_absolute.",
                remedy="Both limits apply; make the idle one the shorter.",
            )
        )
    elif not options.session_idle <= options.session_idle_remembered <= options.session_absolute:
        found.append(
            Problem(
                id="DW034",
                message=f"session_idle_remembered is {options.session_idle_remembered.total_seconds():.0f} s,"
                " which is shorter than session_idle or longer than session_absolute.",
                remedy=f"Use {options.session_idle.total_seconds():.0f} to"
                f" {options.session_absolute.total_seconds():.0f} s. It holds for the carrier token, and for cookies"
                " whose owner asked to be remembered.",
            )
        )
    if options.session_absolute > timedelta(days=400):
        # RFC 6265bis section 5.5: user agents cap the age of a cookie at 400 days.
        found.append(
            Problem(id="DW031", message="session_absolute is over 400 days.", remedy="Browsers keep no cookie longer.")
        )
    if options.session_limit is not None and options.session_limit < 1:
        found.append(
            Problem(
                id="DW032", message="session_limit is below 1.", remedy="1 is single-device; leave it out for no limit."
            )
        )
    if not timedelta(seconds=1) <= options.max_staleness <= timedelta(seconds=900):
        found.append(Problem(id="DW033", message="max_staleness is out of range.", remedy="Use 1 to 900 s."))
    if _COOKIE_PREFIX.fullmatch(options.cookie_prefix) is None:
        remedy = "Use 1 to 40 letters, digits and hyphens, such as shop."
        found.append(Problem(id="DW035", message="cookie_prefix cannot begin the name of a cookie.", remedy=remedy))
    return found


def _passwords(options: Options) -> list[Problem]:
    fewest = 1 if options.insecure_short_passwords else 8
    if fewest <= options.password_minimum <= 64:
        return []
    return [
        Problem(
            id="DW036",
            message=f"password_minimum is {options.password_minimum}.",
            remedy="Use 8 to 64; NIST SP 800-63B-4 asks for 15 where the password is the only factor."
            " insecure_short_passwords takes less than 8.",
        )
    ]


def _origins(options: Options) -> list[Problem]:
    return [
        Problem(
            id="DW040",
            message=f"cors_origins has {origin!r}, which is no origin.",
            remedy="List scheme, host and port, such as https://app.example.com; credentials want no wildcard.",
        )
        for origin in options.cors_origins
        if not is_origin(origin)
    ]


def is_origin(text: str) -> bool:
    """Whether this is scheme, host and port as browsers write them."""
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and "*" not in text and text == f"{parts.scheme}://{parts.netloc}" != "://"
