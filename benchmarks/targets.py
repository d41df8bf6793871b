"""What was to be reached, where its numbers are, and why what was missed was missed.

The reasons are written here by hand, once the numbers are there; a reason is shown only where its target is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.results import Result, only


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Where a number is: a benchmark, a table of it, and a row of that; of several rows the worst.

    Args:
        benchmark: its name.
        part: the title of the table.
        rows: their names.
    """

    benchmark: str
    part: str
    rows: tuple[str, ...]

    def found(self, results: Sequence[Result]) -> list[Result]:
        """One for each row.  Raises LookupError, which says what is not there."""
        found = {row: only(results, self.benchmark, self.part, row) for row in self.rows}
        missing = [row for row, each in found.items() if each is None]
        if missing:
            raise LookupError(f"not measured: {', '.join(missing)} of “{self.part}” in {self.benchmark}")
        return [each for each in found.values() if each is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was to be reached.

    Args:
        what: for people.
        of: the number.
        over: the number that it is divided by; without one it is taken as it is.
        at_least: what it has to reach; or
        at_most: what it may reach.
        unit: of these, where nothing is divided.
        why_not: why it is missed.
    """

    what: str
    of: Figure
    over: Figure | None = None
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""
    why_not: str = ""

    def value(self, results: Sequence[Result]) -> float:
        """What was measured; the worst, where several are.  Raises LookupError where it was not."""
        over = self.over.found(results)[0].median if self.over else 1.0
        values = [each.median / over for each in self.of.found(results)]
        return min(values) if self.at_least is not None else max(values)

    def share(self, value: float) -> float:
        """How much of it is reached: 1 where it just is, more where there is room."""
        return value / self.at_least if self.at_least is not None else (self.at_most or 0) / value

    @property
    def to(self) -> str:
        """What the number is a ratio to."""
        return self.over.rows[0] if self.over else ""


def _figure(benchmark: str, part: str, *rows: str) -> Figure:
    return Figure(benchmark=benchmark, part=part, rows=rows)


_STRATEGIES = ("Doorward, session", "Doorward, jwt", "Doorward, hybrid")


def _seen(name: str) -> Figure:
    return _figure("verify", "Seen before", name)


def _new(algorithm: str, share: float, why_not: str = "") -> Target:
    part = f"A new token, {algorithm}"
    return Target(
        what=f"a new access token, {algorithm}",
        of=_figure("verify", part, "Verifier.verify"),
        over=_figure("verify", part, "cryptography"),
        at_least=share,
        why_not=why_not,
    )


def _framework(name: str, share: float, why_not: str = "") -> Target:
    return Target(
        what=f"{name}, under the worst of the strategies",
        of=_figure("requests", name, *_STRATEGIES),
        over=_figure("requests", name, "no authentication"),
        at_least=share,
        why_not=why_not,
    )


def _look_up(engine: str, why_not: str = "") -> Target:
    part = f"{engine}: look-ups, 32 at once"
    return Target(
        what=f"look-ups on {engine}, at 1,000 sessions over at 1,000,000",
        of=_figure("stores", part, "1,000 sessions"),
        over=_figure("stores", part, "1,000,000 sessions"),
        at_most=1.3,
        why_not=why_not,
    )


def _at_rest(engine: str, most: int, why_not: str = "") -> Target:
    rows = [f"{engine}, {count:,} sessions" for count in (100_000, 1_000_000)]
    return Target(
        what=f"a session at rest on {engine}, with all indexes",
        of=_figure("stores", "What a session takes", *rows),
        at_most=most,
        unit="bytes",
        why_not=why_not,
    )


_REFRESHING = "Over HTTP on PostgreSQL, 64 at once"

TARGETS = (
    Target(
        what="an access token seen before, with its revocation check",
        of=_seen("Verifier.verify"),
        at_least=1_000_000,
        unit="a second of a core",
    ),
    Target(what="the same beside PyJWT", of=_seen("Verifier.verify"), over=_seen("PyJWT, ES256"), at_least=80),
    _new("ES256", 0.9, "strict parsing of the token, making the principal and remembering it: see the page"),
    _new("EdDSA", 0.9),
    _new("RS256", 0.8, "the fastest primitive to verify by: the same parsing weighs more beside it"),
    Target(
        what="a token in the server over a session cookie in memory",
        of=_seen("Doorward.authenticate, token"),
        over=_seen("Doorward.authenticate, cookie"),
        at_most=1.3,
    ),
    _framework("Bare ASGI", 0.9, "two clocks, freshness and revocations are asked with every request: see the page"),
    _framework("FastAPI", 0.8, "FastAPI's own price of one dependency"),
    _framework("Flask", 0.8),
    _framework("Django", 0.8),
    Target(
        what="session look-ups on PostgreSQL through HTTP, 32 clients",
        of=_figure("requests", "Behind a store", "Doorward on PostgreSQL"),
        at_least=30_000,
        unit="a second",
        why_not="one process answers less than that many requests without authentication",
    ),
    Target(
        what="refreshing over HTTP on PostgreSQL, rotating, 64 clients",
        of=_figure("refreshing", _REFRESHING, "Doorward"),
        at_least=5_000,
        unit="a second",
        why_not="a core of the server alone does that many; PostgreSQL and the client take their part of the two cores",
    ),
    Target(
        what="the same beside simplejwt",
        of=_figure("refreshing", _REFRESHING, "Doorward"),
        over=_figure("refreshing", _REFRESHING, "simplejwt"),
        at_least=20,
    ),
    Target(
        what="signing in beside the raw rate of argon2id",
        of=_figure("signing_in", "Signing in", "Doorward"),
        over=_figure("signing_in", "Signing in", "raw argon2id"),
        at_least=0.95,
        why_not="what is around the hash takes the cores as well: HTTP, the transaction, signing, the clients",
    ),
    Target(
        what="what others wait while people sign in, p99",
        of=_figure("signing_in", "What others wait, p99", "Doorward, meanwhile"),
        over=_figure("signing_in", "What others wait, p99", "Doorward, nobody signs in"),
        at_most=2,
        why_not="on cores that are all busy hashing, the event loop waits for its turn",
    ),
    Target(
        what="from signing out until 100 verifiers refuse, p99",
        of=_figure("fleet", "PostgreSQL, 100 verifiers, 0 requests a second", "p99"),
        at_most=20,
        unit="ms",
        why_not="all hundred and the servers share the cores of one machine: the last wait for the first",
    ),
    _at_rest(
        "Redis",
        250,
        "the row is 190 bytes of that; Redis adds to each of three keys: the row, the way to it from the public id, "
        "and the list of an account's sessions, which others do not have",
    ),
    _at_rest(
        "PostgreSQL",
        300,
        "a row of 230 bytes with both hashes, six instants and what rotation has to know, and three indexes of 93",
    ),
    _look_up("SQLite"),
    _look_up("PostgreSQL", "with a million, neither rows nor index fit into the caches of the processor any more"),
    _look_up("Redis", "with a million, nearly each look-up was the first of its minute and asked for the account too"),
    Target(
        what="`doorward serve` until the first request is answered, with an empty database",
        of=_figure("start", "Serving the first request", "doorward serve"),
        at_most=1_500,
        unit="ms",
    ),
    Target(
        what="importing the verifier",
        of=_figure("start", "Importing", "doorward.Verifier"),
        at_most=250,
        unit="ms",
    ),
)
