"""Passwords: how they are prepared and hashed, and how many at once."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import unicodedata
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.authenticators.derivation import Argon2
from doorward.authenticators.password import (
    INSECURE_FAST,
    OWASP,
    QUEUE_PER_CORE,
    Argon2Hashing,
    Argon2Parameters,
    InlineHashing,
    count_cores,
    hashing_for,
    prepare_password,
)
from doorward.errors import Busy, DoorwardError, ValidationFailed, WeakPassword
from doorward.options import Options
from doorward.secret import Secret

pytestmark = pytest.mark.anyio

T = TypeVar("T")
RIGHT, WRONG = Secret("correct horse battery staple"), Secret("incorrect horse battery staple")
PATIENCE = 30
"""Seconds after which a test gives up waiting for another thread; never waited for where things are right."""


def prepared(text: str) -> str:
    return prepare_password(Secret(text)).reveal()


def step(operation: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends."""
    with pytest.raises(StopIteration) as finished:
        operation.send(None)
    answer: T = finished.value.value
    return answer


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Argon2, int]]:
    """What argon2 was asked to compute, and the length of its salt, one entry a computation."""
    found: list[tuple[Argon2, int]] = []
    derive = Argon2.derive

    def counting(self: Argon2, password: bytes, salt: bytes) -> bytes:
        found.append((self, len(salt)))
        return derive(self, password, salt)

    monkeypatch.setattr(Argon2, "derive", counting)
    return found


@pytest.fixture(params=[Argon2Hashing, InlineHashing])
def hashing(request: pytest.FixtureRequest) -> Iterator[Argon2Hashing | InlineHashing]:
    made = request.param(INSECURE_FAST)
    yield made
    made.close()


Hashing = Argon2Hashing | InlineHashing

# Preparing


@pytest.mark.rfc("SP 800-63B-4", "3.1.1.2")
@pytest.mark.parametrize(
    "text",
    [
        "x",
        "x" * 256,
        "  spaces at both ends  ",
        "        ",
        "nul \x00 inside",
        "tab\tnewline\n",
        "密码密码密码密码",
        "\N{PILE OF POO}" * 8,
        "e\u0301" * 256,  # 256 once composed
    ],
)
def test_any_text_of_1_to_256_characters_is_a_password(text: str) -> None:
    assert prepared(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("text", ["", "x" * 7, "\N{PILE OF POO}" * 7, "e\u0301" * 7])
def test_fewer_characters_than_the_minimum_are_weak(text: str) -> None:
    with pytest.raises(WeakPassword) as refused:
        prepare_password(Secret(text), minimum=8)
    assert refused.value.advice == ("Use at least 8 characters.",)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 257,
        "\ufdfa" * 15,  # 18 characters each, once normalised: 270
        "e\u0301" * 257,
        "x" * 1_000_000,
        "\ufdfa" * 1_000_000,
    ],
)
def test_more_than_256_characters_are_refused(text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        prepared(text)
    assert [error.field for error in refused.value.errors] == ["password"]


@pytest.mark.parametrize(("length", "is_taken"), [(1024, True), (1025, False)])
def test_text_is_normalised_up_to_a_bound(length: int, *, is_taken: bool) -> None:
    # A letter and its three marks make one character.
    text = ("\N{GREEK SMALL LETTER ALPHA}\u0313\u0300\u0345" * 257)[:length]
    if is_taken:
        assert len(prepared(text)) == 256
    else:
        with pytest.raises(ValidationFailed):
            prepared(text)


def test_text_that_is_far_too_long_is_refused_without_being_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise AssertionError("the work would grow with the text")

    with monkeypatch.context() as patched:
        patched.setattr(unicodedata, "normalize", refuse)
        with pytest.raises(ValidationFailed):
            prepared("x" * 1025)


@pytest.mark.parametrize("text", ["half \ud800 a pair", "\udfff" * 8, "\ud83d\ude00 12345678"])
def test_half_a_surrogate_pair_is_no_text(text: str) -> None:
    with pytest.raises(ValidationFailed):
        prepared(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pässword", "pa\u0308ssword"),
        ("ｐａｓｓｗｏｒｄ", "password"),
        ("pass\u00a0word", "pass word"),
        ("e\ufb03cient", "efficient"),
        ("12345678²", "123456782"),
        ("\u212bngstrom", "\u00c5ngstrom"),
    ],
)
def test_what_the_same_keys_may_send_is_one_password(one: str, other: str) -> None:
    assert prepared(one) == prepared(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("password", "Password"), ("password", "password "), ("password\x00a", "password\x00b"), ("password", "pаssword")],
)
def test_what_other_keys_send_is_another_password(one: str, other: str) -> None:
    assert prepared(one) != prepared(other)


@given(st.text(max_size=300))
def test_preparing_refuses_or_gives_what_is_prepared_already(text: str) -> None:
    try:
        once = prepared(text)
    except (WeakPassword, ValidationFailed):
        return
    assert prepared(once) == once
    assert 1 <= len(once) <= 256
    assert once.encode()


# Hashing


async def test_a_password_goes_with_its_hash_and_with_no_other(hashing: Hashing) -> None:
    made = await hashing.hash(RIGHT)
    assert await hashing.verify(RIGHT, made)
    assert not await hashing.verify(WRONG, made)
    assert not await hashing.verify(Secret(RIGHT.reveal() + "\x00"), made)
    assert made.reveal() != (await hashing.hash(RIGHT)).reveal()


async def test_two_spellings_of_a_password_go_with_one_hash(hashing: Hashing) -> None:
    made = await hashing.hash(Secret("pa\u0308ssword"))
    assert await hashing.verify(Secret("pässword"), made)


async def test_characters_after_a_nul_count(hashing: Hashing) -> None:
    made = await hashing.hash(Secret("password\x00one"))
    assert not await hashing.verify(Secret("password\x00two"), made)


async def test_a_password_that_cannot_be_one_is_not_hashed(hashing: Hashing) -> None:
    for text, error in [("", WeakPassword), ("x" * 257, ValidationFailed), ("\ud800" * 8, ValidationFailed)]:
        with pytest.raises(error):
            await hashing.hash(Secret(text))


async def test_by_default_a_hash_costs_what_owasp_recommends() -> None:
    hashing = hashing_for(Options(), blocking=True)
    made = await hashing.hash(RIGHT)
    assert made.reveal().startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await hashing.verify(RIGHT, made)
    assert not hashing.is_outdated(made)


@pytest.mark.parametrize(("blocking", "kind"), [(True, InlineHashing), (False, Argon2Hashing)])
async def test_a_deployment_hashes_as_its_host_needs(*, blocking: bool, kind: type) -> None:
    hashing = hashing_for(Options(insecure_fast_hashing=True), blocking=blocking)
    assert isinstance(hashing, kind)
    assert (await hashing.hash(RIGHT)).reveal().startswith("$argon2id$v=19$m=8,t=1,p=1$")
    hashing.close()


@pytest.mark.parametrize(
    "changed",
    [
        Argon2Parameters(memory_kib=16, passes=1),
        Argon2Parameters(memory_kib=8, passes=2),
        Argon2Parameters(memory_kib=16, passes=1, lanes=2),
        Argon2Parameters(memory_kib=8, passes=1, hash_bytes=16),
        Argon2Parameters(memory_kib=8, passes=1, salt_bytes=8),
    ],
)
async def test_a_hash_of_other_parameters_is_outdated_and_still_goes_with_its_password(
    changed: Argon2Parameters,
) -> None:
    hashing = InlineHashing(INSECURE_FAST)
    made = await InlineHashing(changed).hash(RIGHT)
    assert await hashing.verify(RIGHT, made)
    assert hashing.is_outdated(made)
    assert not hashing.is_outdated(await hashing.hash(RIGHT))


# Equal work


GOOD = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$"
MALFORMED = [
    "",
    "x",
    "$",
    "$$$$$",
    "!",
    "\x00",
    "ü",
    "\ud800",
    "$2b$12$abcdefghijklmnopqrstuv",
    "$argon2id$",
    "$argon2id$v=19$m=8,t=1,p=1$$",
    GOOD,
    GOOD + "!",
    GOOD + "ü" * 43,
    GOOD.replace("m=8", "m=x") + "A" * 43,
    GOOD.replace("m=8", "m=-1") + "A" * 43,
    GOOD.replace("t=1", "t=0") + "A" * 43,
    GOOD.replace("p=1", "p=0") + "A" * 43,
    GOOD.replace("m=8", "m=1048577") + "A" * 43,  # over 1 GiB
    GOOD.replace("m=8", "m=4294967295") + "A" * 43,
    GOOD.replace("t=1", "t=4294967295") + "A" * 43,  # until the end of time
    GOOD.replace("p=1", "p=16777215") + "A" * 43,
    GOOD.replace("$v=19", "") + "A" * 43,
    GOOD.replace("v=19", "v=99") + "A" * 43,
    GOOD.replace("argon2id", "argon2x") + "A" * 43,
    GOOD + "A" * 100_000,
]


@pytest.mark.parametrize("text", MALFORMED)
async def test_a_malformed_hash_goes_with_no_password_and_is_told_of_without_being_quoted(
    text: str, hashing: Hashing, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert not await hashing.verify(RIGHT, Secret(text))
    said = "a stored password hash cannot be used, and its owner cannot sign in by it"
    assert [record.getMessage().partition(":")[0] for record in caplog.records] in ([], [said])
    assert len(text) < 2 or text not in caplog.text
    if "A" * 43 not in text or "$m=8,t=1,p=1$" not in text:
        assert caplog.records
    assert hashing.is_outdated(Secret(text))


@given(
    st.one_of(st.text(max_size=120), st.text(alphabet="argon2id$v=19m,tp8/+A-", max_size=80).map("$argon2id$".__add__))
)
def test_no_stored_hash_raises(text: str) -> None:
    hashing = InlineHashing(INSECURE_FAST)
    assert not step(hashing.verify(RIGHT, Secret(text)))


async def test_an_unknown_account_costs_one_computation_of_the_same_parameters(
    hashing: Hashing, computed: list[tuple[Argon2, int]]
) -> None:
    made = await hashing.hash(RIGHT)
    computed.clear()
    assert not await hashing.verify(WRONG, made)
    assert not await hashing.verify(WRONG, None)
    known, unknown = computed
    assert known == unknown


async def test_nobody_signs_in_by_the_hash_that_stands_for_none(hashing: Hashing) -> None:
    for text in ("", "password", "a password that is none", RIGHT.reveal()):
        assert not await hashing.verify(Secret(text), None)


@pytest.mark.parametrize("text", ["", "short", "x" * 257, "x" * 1_000_000, "\ud800" * 8])
async def test_a_password_that_can_be_nobodys_costs_one_computation(
    text: str, hashing: Hashing, computed: list[tuple[Argon2, int]]
) -> None:
    made = await hashing.hash(RIGHT)
    computed.clear()
    assert not await hashing.verify(Secret(text), made)
    assert not await hashing.verify(Secret(text), None)
    assert len(computed) == 2


@pytest.mark.parametrize("text", ["", "$2b$12$abcdefghijklmnopqrstuv", GOOD.replace("m=8", "m=4294967295") + "A" * 43])
async def test_a_malformed_hash_costs_one_computation(
    text: str, hashing: Hashing, computed: list[tuple[Argon2, int]]
) -> None:
    assert not await hashing.verify(RIGHT, Secret(text))
    assert len(computed) == 1


async def test_making_up_a_hash_computes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise AssertionError("the first sign-in for an unknown account would take longer than the second")

    monkeypatch.setattr(Argon2, "derive", refuse)
    InlineHashing(OWASP)


async def test_a_refusal_names_no_password_and_no_hash(hashing: Hashing) -> None:
    with pytest.raises(DoorwardError) as refused:
        await hashing.hash(Secret("zq" * 200))
    assert "zq" not in str(refused.value)
    assert "zq" not in repr(refused.value)


# How many at once


class Gate:
    """Work that goes on until the gate is opened, and counts how much of it there is at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened = threading.Event()
        self.begun = threading.Semaphore(0)
        self.now = self.most = self.done = 0
        self.threads: set[int] = set()

    def __call__(self) -> int:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.threads.add(threading.get_ident())
        self.begun.release()
        assert self._opened.wait(PATIENCE)
        with self._lock:
            self.now -= 1
            self.done += 1
        return self.done

    def open(self) -> None:
        self._opened.set()


async def begun(gate: Gate, count: int = 1) -> None:
    for _ in range(count):
        assert await asyncio.to_thread(gate.begun.acquire, timeout=PATIENCE)


async def test_no_more_work_at_once_than_there_are_workers_and_never_on_the_loop() -> None:
    hashing, gate = Argon2Hashing(INSECURE_FAST, workers=2, queue=8), Gate()
    tasks = [asyncio.create_task(hashing.run(gate)) for _ in range(10)]
    await begun(gate, 2)
    # The loop is free all the while: it came as far as here.
    gate.open()
    await asyncio.gather(*tasks)
    assert gate.most == 2
    assert gate.done == 10
    assert threading.get_ident() not in gate.threads
    hashing.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no niceness of its own")
async def test_whoever_hashes_lets_the_loop_go_first() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    hashing, before = Argon2Hashing(INSECURE_FAST, workers=1), niceness()
    assert await hashing.run(niceness) == min(before + 10, 19)
    assert niceness() == before
    hashing.close()


async def test_where_niceness_is_forbidden_there_is_hashing_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "nice", forbidden)
    hashing = Argon2Hashing(INSECURE_FAST, workers=1)
    assert await hashing.verify(RIGHT, await hashing.hash(RIGHT))
    hashing.close()


async def test_where_the_queue_is_full_the_next_is_told_when_to_come_back() -> None:
    hashing, gate = Argon2Hashing(INSECURE_FAST, workers=1, queue=2), Gate()
    tasks = [asyncio.create_task(hashing.run(gate)) for _ in range(3)]
    await begun(gate)
    for attempt in (hashing.run(gate), hashing.hash(RIGHT), hashing.verify(RIGHT, None)):
        with pytest.raises(Busy) as refused:
            await attempt
        assert refused.value.retry_after > timedelta(0)
    gate.open()
    await asyncio.gather(*tasks)
    assert await hashing.run(lambda: "there is room again") == "there is room again"
    hashing.close()


async def test_a_caller_who_is_cancelled_leaves_its_place_taken_until_the_thread_is_done() -> None:
    hashing, gate = Argon2Hashing(INSECURE_FAST, workers=1, queue=0), Gate()
    task = asyncio.create_task(hashing.run(gate))
    await begun(gate)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    with pytest.raises(Busy):
        await hashing.run(gate)
    gate.open()
    await _until_free(hashing)
    assert gate.done == 1
    hashing.close()


async def test_what_is_cancelled_before_its_turn_keeps_its_place_and_is_never_done() -> None:
    hashing, gate, late = Argon2Hashing(INSECURE_FAST, workers=1, queue=1), Gate(), Gate()
    late.open()
    first = asyncio.create_task(hashing.run(gate))
    await begun(gate)
    second = asyncio.create_task(hashing.run(late))
    await asyncio.sleep(0)
    second.cancel()
    with suppress(asyncio.CancelledError):
        await second
    # Or callers who come and go could fill the queue without end.
    with pytest.raises(Busy):
        await hashing.run(gate)
    gate.open()
    await first
    await _until_free(hashing)
    assert late.done == 0
    again = Gate()
    tasks = [asyncio.create_task(hashing.run(again)) for _ in range(2)]
    await begun(again)
    again.open()
    assert await asyncio.gather(*tasks) == [1, 2]  # both places are free
    hashing.close()


async def _until_free(hashing: Hashing) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(Busy):
                return await hashing.run(lambda: None)
            await asyncio.sleep(0.001)


async def test_work_that_fails_gives_its_place_back_and_its_error_to_the_caller(hashing: Hashing) -> None:
    def fail() -> None:
        raise WeakPassword(["advice"])

    for _ in range((QUEUE_PER_CORE + 1) * count_cores() + 1):
        with pytest.raises(WeakPassword):
            await hashing.run(fail)


async def test_after_closing_what_was_taken_is_finished_and_no_more_is() -> None:
    hashing, gate = Argon2Hashing(INSECURE_FAST, workers=1), Gate()
    tasks = [asyncio.create_task(hashing.run(gate)) for _ in range(2)]
    await begun(gate)
    hashing.close()
    with pytest.raises(Busy):
        await hashing.hash(RIGHT)
    gate.open()
    assert await asyncio.gather(*tasks) == [1, 2]


async def test_no_thread_is_started_before_the_first_call() -> None:
    before = threading.active_count()
    hashing = Argon2Hashing(INSECURE_FAST)
    assert threading.active_count() == before
    hashing.close()


def test_inline_hashing_never_suspends() -> None:
    hashing = InlineHashing(INSECURE_FAST)
    made = step(hashing.hash(RIGHT))
    assert step(hashing.verify(RIGHT, made))
    assert step(hashing.run(threading.get_ident)) == threading.get_ident()


def test_inline_hashing_works_in_no_more_threads_than_there_are_cores() -> None:
    hashing, gate = InlineHashing(INSECURE_FAST, workers=2, queue=8), Gate()
    with ThreadPoolExecutor(10) as callers:
        answers = [callers.submit(step, hashing.run(gate)) for _ in range(10)]
        for _ in range(2):
            assert gate.begun.acquire(timeout=PATIENCE)
        gate.open()
        for answer in answers:
            answer.result(PATIENCE)
    assert gate.most == 2
    assert gate.done == 10


@pytest.mark.parametrize("queue", [0, 1])
def test_inline_hashing_is_busy_where_too_many_wait_or_one_waits_too_long(queue: int) -> None:
    gate = Gate()
    hashing = InlineHashing(INSECURE_FAST, workers=1, queue=queue, patience=timedelta(milliseconds=1))
    with ThreadPoolExecutor(1) as callers:
        first = callers.submit(step, hashing.run(gate))
        assert gate.begun.acquire(timeout=PATIENCE)
        operation = hashing.run(gate)
        with pytest.raises(Busy):
            operation.send(None)
        gate.open()
        first.result(PATIENCE)
    assert step(hashing.run(lambda: "free")) == "free"
