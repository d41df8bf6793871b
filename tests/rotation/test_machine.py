"""Random histories against the pure rules, memory, SQLite, PostgreSQL and Redis: no difference, and no broken promise.

That the machine would notice is shown with rules that each get one thing wrong.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from doorward.rotation import flow
from doorward.stores import memory
from tests.postgres import PostgresServer
from tests.rotation.machine import ACCOUNT, PLAYED, RotationMachine
from tests.rotation.mistakes import MISTAKES, Mistake
from tests.rotation.reference import SOUND, Rules
from tests.rotation.world import BrokenPromise, World
from tests.rotation.worlds import FORGERIES, InMemory, InPostgres, InRedis, InSqlite, Real
from tests.valkey import ValkeyServer

# A history may begin slowly; nothing about that is unhealthy.
HISTORIES = settings(
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
    # A history is told as it was found: to make it smaller would take minutes over a database.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    report_multiple_bugs=False,
)
EXAMPLES = 15 if os.environ.get("CI") else 25
"""In every world; each is another engine to wait for."""

HUNT = settings(
    HISTORIES,
    max_examples=1000,
    derandomize=True,
    database=None,
    # The first broken promise will do: none has to be small.
    phases=[Phase.generate],
    report_multiple_bugs=False,
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of reuses and lost writes are no news here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class InEveryWorld(RotationMachine):
    """The histories, in the stores as well."""

    template: Path
    played: Path
    beside_redis: Path
    postgres: PostgresServer
    valkey: ValkeyServer

    def other_worlds(self, *, heal: bool) -> list[World]:
        shutil.copy(self.template, self.played)
        shutil.copy(self.template, self.beside_redis)
        self.opened: list[Real] = [
            InMemory(ACCOUNT, clock=self.clock, heal=heal),
            InSqlite(ACCOUNT, path=self.played, clock=self.clock, heal=heal),
            InRedis(ACCOUNT, path=self.beside_redis, server=self.valkey, clock=self.clock, heal=heal),
            InPostgres(ACCOUNT, address=self.postgres.emptied(), clock=self.clock, heal=heal),
        ]
        return [*self.opened]

    @rule(how=st.sampled_from(sorted(FORGERIES)), ahead=st.integers(-1, 2))
    def forge(self, how: str, ahead: int) -> None:
        """Somebody presents what we did not make for this client."""
        for world in self.opened:
            world.forge(PLAYED, max(self.row.generation + ahead, 0), how)

    def teardown(self) -> None:
        for world in getattr(self, "opened", ()):
            world.close()


class InMemoryAlone(InEveryWorld):
    """The histories in the quickest of the stores, where a mistake is looked for that any of them would tell."""

    def other_worlds(self, *, heal: bool) -> list[World]:
        self.opened = [InMemory(ACCOUNT, clock=self.clock, heal=heal)]
        return [*self.opened]


@pytest.fixture
def in_every_world(
    template: Path, tmp_path: Path, postgres: PostgresServer, valkey: ValkeyServer
) -> type[InEveryWorld]:
    parts = {
        "template": template,
        "played": tmp_path / "played.db",
        "beside_redis": tmp_path / "beside_redis.db",
        "postgres": postgres,
        "valkey": valkey,
    }
    return type("Played", (InEveryWorld,), parts)


@pytest.mark.rfc("9700", "4.14.2")
def test_no_history_breaks_a_promise_or_tells_the_worlds_apart(in_every_world: type[InEveryWorld]) -> None:
    run_state_machine_as_test(in_every_world, settings=settings(HISTORIES, max_examples=EXAMPLES))


def test_no_history_breaks_a_promise_of_the_rules() -> None:
    run_state_machine_as_test(RotationMachine, settings=settings(HISTORIES, max_examples=300))


# That it would be noticed


@pytest.mark.parametrize("name", [name for name, mistake in MISTAKES.items() if mistake.told is None])
def test_a_mistake_in_the_rules_breaks_a_promise(name: str) -> None:
    mistake = MISTAKES[name]
    about = frozenset({mistake.about} if mistake.about else ())
    histories = type("Mistaken", (RotationMachine,), {"under": mistake.rules, "about": about})
    with pytest.raises(BrokenPromise):
        run_state_machine_as_test(histories, settings=HUNT)


told = pytest.mark.parametrize("name", [name for name, mistake in MISTAKES.items() if mistake.told is not None])


@told
def test_a_mistake_that_chance_seldom_meets_breaks_a_promise_in_its_history(name: str) -> None:
    tell(MISTAKES[name], RotationMachine, SOUND)
    with pytest.raises(BrokenPromise):
        tell(MISTAKES[name], RotationMachine, MISTAKES[name].rules)


@told
def test_the_histories_that_break_mistaken_rules_are_the_same_in_every_world(
    name: str, in_every_world: type[InEveryWorld]
) -> None:
    tell(MISTAKES[name], in_every_world, SOUND)


def tell(mistake: Mistake, histories: type[RotationMachine], rules: Rules) -> None:
    assert mistake.told is not None
    tabs: RotationMachine = type("Told", (histories,), {"under": rules})()
    tabs.sign_in(keyed=mistake.keyed, heal=False)
    try:
        mistake.told(tabs)
        tabs.the_worlds_do_not_differ()
    finally:
        tabs.teardown()


@pytest.mark.parametrize("name", ["no grace", "no new start by key"])
def test_a_mistake_in_the_flow_tells_the_worlds_apart(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "decide_refresh", MISTAKES[name].rules.decide)
    with pytest.raises(BrokenPromise, match="differs from the reference"):
        run_state_machine_as_test(InMemoryAlone, settings=HUNT)


def test_a_mistake_in_a_store_tells_the_worlds_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_moved_by_rotation", lambda current, to: replace(to, acknowledged=False))
    with pytest.raises(BrokenPromise, match="differs from the reference"):
        run_state_machine_as_test(InMemoryAlone, settings=HUNT)
