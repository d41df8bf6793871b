"""The feed beyond one machine: what 10,000 verifiers and 1,000 revocations a second cost at either end."""

from __future__ import annotations

import asyncio
import gc
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes

from benchmarks.measuring import ROOT, Measured, Part, Run, publish, tell
from doorward.revocation.freshness import boot_seconds
from doorward.revocation.hub import Hub
from doorward.revocation.model import Kind, Revocation
from doorward.verifier.replica import Replica
from doorward.wire.feed import FeedReader, Heartbeat, Reading, Revoked, Snapshot, write_digests, write_event
from doorward.wire.identifiers import new_identifier

ABOUT = """
10,000 verifiers, 1,000 revocations a second, access tokens of 15 minutes: an entry lives for 17 minutes, so that about
a million are alive. No machine here has 10,000 processes. What one of each kind takes was **measured**, with the real
live set, the real replica and the real frames, by the time that the process was given by its core; the rest is
**multiplied**, and the titles say so. TLS, the network and the readers' own work are not in it.

What to put between, and from which size on: [Scaling the feed](../guides/scaling-the-feed.md).
"""

LIFE = timedelta(minutes=17)
MEBIBYTE = 1024 * 1024
BATCH = 20
"""Frames that a busy server finds waiting for a reader, and writes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured, and what for.

    Args:
        verifiers: that are thought of.
        a_second: revocations.
        entries: held alive where memory is measured; told for as many as the plan has.
        readers: real ones, in this process.
        frames: written to each.
    """

    verifiers: int = 10_000
    a_second: int = 1_000
    entries: tuple[int, ...] = (10_000, 100_000, 1_020_000)
    readers: int = 500
    frames: int = 400


QUICK = Plan(entries=(2_000, 5_000), readers=20, frames=20)


def an_entry(number: int, *, now: datetime) -> Revocation:
    # As they come: a session's id of 128 random bits, deaths spread over the life of an entry.
    dies_at = now + timedelta(microseconds=(number * 1_000) % int(LIFE.total_seconds() * 1e6))
    return Revocation(kind=Kind.SESSION, id=new_identifier(token_bytes), dies_at=dies_at)


# A verifier's memory, in a process of its own

_MEMORY = "import sys; from benchmarks.feed_scale import hold; hold(int(sys.argv[1]))"


def hold(entries: int) -> None:
    """Hold so many entries, as a verifier does; print bytes, and seconds to merge a snapshot and to expire it."""
    now = datetime.now(UTC)
    replica = Replica(
        max_staleness=timedelta(seconds=5), clock_skew=timedelta(minutes=1), chance=lambda: 0.5, tell=lambda *_: None,
        limit=2_000_000,
    )  # fmt: skip
    frames = [
        write_event(Snapshot(revocations=tuple(an_entry(number, now=now) for number in range(start, start + 1_000))))
        for start in range(0, entries, 1_000)
    ]
    gc.collect()
    before, begun = _resident(), time.process_time()
    reader = FeedReader()
    for frame in frames:
        for event in reader.feed(frame):
            replica.receive(event, at=1.0, wall=now)
    merged = time.process_time() - begun
    gc.collect()
    held = _resident() - before
    begun = time.process_time()
    replica.live.expire(now=now)
    print(len(replica.live), held, sum(map(len, frames)), merged, time.process_time() - begun)


def _resident() -> int:
    """Bytes in use now, where the system tells; else the most there ever were."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a verifier with so many entries takes."""

    entries: int
    resident: int
    snapshot: int
    merging: float
    expiring: float


def memory_of(entries: int) -> Held:
    tell(f"a verifier with {entries:,} entries")
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(entries)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    _, resident, snapshot, merging, expiring = done.stdout.split()
    return Held(
        entries=entries,
        resident=int(resident),
        snapshot=int(snapshot),
        merging=float(merging),
        expiring=float(expiring),
    )


# A server's work: real readers of the real hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Fanned:
    """What telling so many readers took, of one core.

    Args:
        handing: seconds a frame and reader: queued, taken, joined with what waits.
        sending: seconds a reader and write of the size that a batch has, through a socket of this machine.
        learning: seconds an entry: merging, digest, frame.
        beating: seconds a heartbeat, once for all.
    """

    handing: float
    sending: float
    learning: float
    beating: float


async def fan_out(plan: Plan) -> Fanned:
    hub = Hub(name="feed", ticks=boot_seconds, most_readers=plan.readers)
    now = datetime.now(UTC)
    hub.read(as_of=now, asked_at=boot_seconds())
    entries = [an_entry(number, now=now + LIFE / 2) for number in range(plan.frames)]
    begun = time.thread_time()
    for entry in entries:
        hub.live.merge((entry,))
    learning = (time.thread_time() - begun) / plan.frames
    readers = [hub.admit(None, last_event_id=f"feed-{plan.frames}") for _ in range(plan.readers)]
    tell(f"{plan.frames} frames to {plan.readers} readers")
    frame = write_event(Revoked(revocations=(entries[0],)), id="feed-1")
    begun = time.thread_time()
    for _ in range(0, plan.frames, BATCH):
        for _ in range(BATCH):
            for reader in readers:
                reader.put(frame)
        for reader in readers:
            await anext(reader)
    handing = (time.thread_time() - begun) / (plan.frames * plan.readers)
    for reader in readers:
        await reader.aclose()
    begun = time.thread_time()
    for _ in range(20):
        write_event(hub.heartbeat)
    beating = (time.thread_time() - begun) / 20
    sending = await _sending(frame * BATCH, count=5 * plan.frames)
    return Fanned(handing=handing, sending=sending, learning=learning, beating=beating)


async def _sending(batch: bytes, *, count: int) -> float:
    """Seconds of a core to write one batch into a TCP socket; what the other end takes is not counted."""
    sink = await asyncio.create_subprocess_exec(sys.executable, "-c", _SINK, stdout=asyncio.subprocess.PIPE)
    assert sink.stdout is not None
    _, writer = await asyncio.open_connection("127.0.0.1", int(await sink.stdout.readline()))
    begun = time.thread_time()
    for _ in range(count):
        writer.write(batch)
        await writer.drain()
    passed = time.thread_time() - begun
    writer.close()
    await writer.wait_closed()
    await sink.communicate()
    return passed / count


_SINK = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
taken, _ = listening.accept()
while taken.recv(1 << 20):
    pass
"""


# What it comes to


def frame_bytes() -> tuple[int, int, int]:
    """Bytes of a frame of one entry, of a heartbeat, and of the digest request's answer."""
    now = datetime.now(UTC)
    one = write_event(Revoked(revocations=(an_entry(1, now=now + LIFE),)), id="0123456789abcdefghijkl-1000000")
    digests = {int(now.timestamp()) // 60 + minute: "0" * 32 for minute in range(3, 17)}
    heartbeat = Heartbeat(reading=Reading(as_of=now, now=now), digests=digests)
    return len(one), len(write_event(heartbeat)), len(write_digests(heartbeat))


async def measured(plan: Plan) -> list[Part]:
    held = [memory_of(entries) for entries in plan.entries]
    fanned = await fan_out(plan)
    one, beat, digest = frame_bytes()
    sizes = ((100, 10), (1_000, 10), (1_000, 100), (plan.verifiers, 10), (plan.verifiers, plan.a_second))
    return [
        _part("A verifier's memory, measured", "MiB", _by_size(held, lambda each: each.resident / MEBIBYTE)),
        _part("Merging a snapshot, measured", "ms", _by_size(held, lambda each: each.merging * 1e3)),
        _part("Letting the dead go, each 10 s, measured", "ms", _by_size(held, lambda each: each.expiring * 1e3)),
        _part("A snapshot on the wire, measured", "KiB", _by_size(held, lambda each: each.snapshot / 1024)),
        _part("What one reader is sent", "bytes a second", _reader_bytes(plan, one, beat, digest)),
        _part(
            f"What all are sent, {plan.a_second:,} revocations a second, multiplied",
            "MiB a second",
            {
                f"{count:,} verifiers": count * _stream_bytes(plan.a_second, one, beat) / MEBIBYTE
                for count in (100, 1_000, plan.verifiers)
            },
        ),
        _part(
            "A server's work, measured",
            "ns",
            {
                "learning of an entry, once": fanned.learning * 1e9,
                "handing a frame to a reader": fanned.handing * 1e9,
                f"writing {BATCH} frames into a socket": fanned.sending * 1e9,
                "making a heartbeat, once for all": fanned.beating * 1e9,
            },
        ),
        _part(
            "Cores that telling takes, multiplied",
            "hundredths of a core",
            {f"{count:,} verifiers, {rate:,} a second": 100 * cores(count, rate, fanned) for count, rate in sizes},
        ),
    ]


def _by_size(held: Sequence[Held], value: Callable[[Held], float]) -> dict[str, float]:
    return {f"{each.entries:,} entries": value(each) for each in held}


def cores(verifiers: int, a_second: int, fanned: Fanned) -> float:
    """Cores that it takes to tell so many verifiers, in whatever number of servers; each learns of every entry."""
    # No more than 50 a second: at 1,000 frames a second there are 20 for each.
    writes = min(a_second, 50) + 1
    return a_second * fanned.learning + verifiers * (a_second * fanned.handing + writes * fanned.sending)


def _stream_bytes(a_second: int, one: int, beat: int) -> float:
    return a_second * one + beat


def _reader_bytes(plan: Plan, one: int, beat: int, digest: int) -> dict[str, float]:
    # Asked every third of 5 s; unchanged only where nothing happens.
    questions = digest / (5 / 3)
    ways = {f"stream, {rate:,} revocations a second": _stream_bytes(rate, one, beat) for rate in (0, 10, 100)}
    ways[f"stream, {plan.a_second:,} revocations a second"] = _stream_bytes(plan.a_second, one, beat)
    ways["digest requests, max_staleness 5 s"] = questions
    return ways


def _part(title: str, unit: str, values: dict[str, float]) -> Part:
    ways = (Measured(name=name, rounds=(value,)) for name, value in values.items())
    return Part(title=title, unit=unit, measured=tuple(ways))


def main(run: Run) -> None:
    publish_parts(run, asyncio.run(measured(QUICK if run.quick else Plan())))


def publish_parts(run: Run, parts: Sequence[Part]) -> None:
    publish(run, "feed_scale", title="The feed at scale", about=ABOUT, parts=parts, packages=("msgspec",))
