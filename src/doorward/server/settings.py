"""The settings of a deployment: flags beat the environment, which beats ``doorward.toml``.

A name that is not known is refused at start: a misspelt ``DOORWARD_ACCESS_LIFETIM`` would otherwise be a default that
nobody chose.  No message repeats a value, which may be a secret in the wrong place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, Problem
from doorward.keys.model import Algorithm
from doorward.options import OptionFields, Options, SignUpPolicy, Strategy
from doorward.secret import Secret
from doorward.server.forwarded import parse_proxies
from doorward.server.sources import PREFIX, Given, Origin, Source, gather
from doorward.stores import secrets_of_redis

if TYPE_CHECKING:
    from doorward.pages import Pages

MOST_WORKERS = 64

_DEFAULTS = Options()
_LONGEST = timedelta(days=36_500)


def _whole_seconds(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    if not (text.isascii() and text.isdigit()) or int(text[:12]) > _LONGEST.total_seconds():
        raise ValueError("Give whole seconds, such as 900")
    return timedelta(seconds=int(text))


def _words(value: object) -> object:
    return tuple(word for part in value.split(",") if (word := part.strip())) if isinstance(value, str) else value


def _secret(value: object) -> Secret:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("Give text; leave it out where none is meant")
    return Secret(value.strip())


def _secret_or_none(value: object) -> Secret | None:
    return None if value is None else _secret(value)


def _secrets(value: object) -> tuple[Secret, ...]:
    if isinstance(value, tuple) and not value:
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list):
        raise ValueError("Give one secret, or several with commas between them, the newest first")  # noqa: TRY004 -- what pydantic collects
    return tuple(_secret(part) for part in parts)


def _none_where_empty(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in {"", "none"} else value


def _proxies(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        parse_proxies(value)
    except ValueError:
        raise ValueError(
            "List the addresses or networks of the proxies, such as 10.0.0.7, 172.16.0.0/12; * trusts whoever connects"
        ) from None
    return value


Seconds = Annotated[timedelta, BeforeValidator(_whole_seconds)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Text = Annotated[str, Field(min_length=1)]


class Settings(BaseSettings):
    """Every setting, by the name that it has in ``doorward.toml``; in the environment with ``DOORWARD_`` before it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    # The server
    host: Text = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    workers: Annotated[int, Field(ge=1, le=MOST_WORKERS)] = 1
    forwarded_allow_ips: Annotated[Words, AfterValidator(_proxies)] = ()
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    lab: bool = False

    # What is kept, and what protects it
    database: Text = "sqlite:///doorward.db"
    secret: Annotated[tuple[Secret, ...], NoDecode, PlainValidator(_secrets)] = ()
    memcached_url: Annotated[str | None, BeforeValidator(_none_where_empty)] = None
    redis_url: Annotated[Secret | None, PlainValidator(_secret_or_none)] = None

    # Pages for people
    pages: bool = True
    pages_name: Text = "Doorward"
    pages_folder: Annotated[Path | None, BeforeValidator(_none_where_empty)] = None
    pages_return_to: Words = ()
    geo_database: Annotated[Path | None, BeforeValidator(_none_where_empty)] = None

    # The options of ``doorward.options``, by the same names
    strategy: Strategy = _DEFAULTS.strategy
    issuer: Annotated[str | None, BeforeValidator(_none_where_empty)] = None
    audience: Annotated[str | None, BeforeValidator(_none_where_empty)] = _DEFAULTS.audience
    forward_audience: Annotated[str | None, BeforeValidator(_none_where_empty)] = _DEFAULTS.forward_audience
    signing_algorithm: Algorithm = _DEFAULTS.signing_algorithm
    access_lifetime: Seconds = _DEFAULTS.access_lifetime
    clock_skew: Seconds = _DEFAULTS.clock_skew
    refresh_grace: Seconds = _DEFAULTS.refresh_grace
    lost_reply_window: Seconds = _DEFAULTS.lost_reply_window
    heal_lost_writes: bool = _DEFAULTS.heal_lost_writes
    session_idle: Seconds = _DEFAULTS.session_idle
    session_idle_remembered: Seconds = _DEFAULTS.session_idle_remembered
    session_absolute: Seconds = _DEFAULTS.session_absolute
    sign_up: SignUpPolicy = _DEFAULTS.sign_up
    session_limit: Annotated[int | None, BeforeValidator(_none_where_empty)] = _DEFAULTS.session_limit
    cookie_prefix: Text = _DEFAULTS.cookie_prefix
    password_minimum: int = _DEFAULTS.password_minimum
    max_staleness: Seconds = _DEFAULTS.max_staleness
    cors_origins: Words = _DEFAULTS.cors_origins
    rate_limits: bool = _DEFAULTS.rate_limits
    admin_key: Annotated[Secret | None, PlainValidator(_secret_or_none)] = None
    role_scopes: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    session_retention: Seconds = _DEFAULTS.session_retention
    audit_retention: Seconds = _DEFAULTS.audit_retention
    status_lists: bool = _DEFAULTS.status_lists
    insecure_long_access_lifetime: bool = False
    insecure_short_passwords: bool = False
    insecure_cookies_over_http: bool = False
    insecure_fast_hashing: bool = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is handed over: ``gather`` has read the sources, and remembers which of them said what."""
        return (init_settings,)

    @property
    def address(self) -> str:
        """Where the server can be reached from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 -- what is listened on
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def options(self) -> OptionFields:
        values = {each.name: getattr(self, each.name) for each in fields(Options)}
        return cast("OptionFields", values | {"issuer": self.issuer or self.address})

    @property
    def database_file(self) -> Path | None:
        """Where an embedded database is kept."""
        place = self.database.removeprefix("sqlite:///")
        return Path(place) if place != self.database else None

    @property
    def secrets(self) -> Sequence[Secret]:
        """All that is in the settings and must not be in a log."""
        others = [each for each in (self.admin_key, self.redis_url) if each is not None]
        return [*self.secret, *others, *(secrets_of_redis(self.redis_url.reveal()) if self.redis_url else ())]

    def doorward(self, *, blocking: bool = False) -> Doorward:
        """The deployment that these settings describe, not yet open.

        Raises:
            ConfigurationError: the settings contradict each other or weaken a default.
        """
        # A command that only looks makes no keys: it may have been told another algorithm than the server.
        return Doorward(
            self.database,
            secret=self.secret or None,
            memcached=self.memcached_url,
            redis=self.redis_url,
            geo_database=self.geo_database,
            blocking=blocking,
            makes_keys=not blocking,
            **self.options,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings, and where each that is no default comes from."""

    settings: Settings
    origins: Mapping[str, Origin]


def pages_of(settings: Settings) -> Pages | None:
    """The pages that the settings describe, or None where they are switched off.

    Raises:
        ConfigurationError: their folder cannot be used, or a place to return to is no origin.
    """
    if not settings.pages:
        return None
    from doorward.pages import Pages

    return Pages(name=settings.pages_name, folder=settings.pages_folder, return_to=settings.pages_return_to)


def load_settings(flags: Mapping[str, Any] | None = None, *, config: Path | None = None) -> Loaded:
    """Read the settings.

    Args:
        flags: what the command line gave, by the names of ``Settings``; None stands for a flag that was not given.
        config: a file to read instead of ``doorward.toml`` in the current folder.

    Raises:
        ConfigurationError: a name is unknown or a value cannot be used; every problem at once.
    """
    given = gather(Settings, flags or {}, config)
    try:
        settings = Settings(**{name: each.value for name, each in given.items()})
    except ValidationError as refused:
        raise ConfigurationError(_problems(refused, given)) from None
    problems = _contradictions(settings)
    if problems:
        raise ConfigurationError(problems)
    return Loaded(settings=settings, origins={name: each.origin for name, each in given.items()})


def _problems(refused: ValidationError, given: Mapping[str, Given]) -> list[Problem]:
    found = []
    for error in refused.errors(include_url=False, include_context=False, include_input=False):
        name = str(error["loc"][0])
        origin = given[name].origin if name in given else Origin(source=Source.DEFAULT, name=name)
        remedy = error["msg"].removeprefix("Value error, ").rstrip(".") + "."
        found.append(Problem(id="DW061", message=f"{origin} cannot be read.", remedy=remedy))
    return found


def _contradictions(settings: Settings) -> list[Problem]:
    if settings.workers > 1 and settings.database == "memory:":
        remedy = "Use one worker, or a database that they share, such as sqlite:///doorward.db."
        return [Problem(id="DW066", message="Several workers cannot share memory:.", remedy=remedy)]
    if settings.lab and not is_loopback(settings.host):
        message = f"The lab shows every credential, and {settings.host} can be reached from other machines."
        return [Problem(id="DW076", message=message, remedy="Leave out --lab, or listen on 127.0.0.1.")]
    if settings.lab and settings.workers > 1:
        return [Problem(id="DW077", message="The lab lives in the memory of one process.", remedy="Use one worker.")]
    return []


def warnings_of(settings: Settings) -> Sequence[Problem]:
    """What works and should not stay so."""
    found = []
    if not is_loopback(settings.host) and urlsplit(settings.issuer or settings.address).scheme == "http":
        found.append(
            Problem(
                id="DW067",
                message=f"{settings.host} can be reached from other machines, and the issuer is an http address.",
                remedy="Put a proxy with TLS in front and give its address in DOORWARD_ISSUER, such as"
                " https://auth.example.com: over plain HTTP browsers keep no Secure cookie and anybody on the way"
                " reads the tokens.",
            )
        )
    return found


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
