"""What happens at once in tests of more than one store: in threads, and in processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Any, ClassVar, TypeVar

from doorward.blocking import run_blocking
from doorward.ports import Store
from doorward.testing.store_suite import StoreSuite
from doorward.testing.store_suite.case import row, sign_up, start

T = TypeVar("T")

# The address of a store, then keys of sessions; presents the first generation of each when it is given a line.  Where
# REDIS_URL is set, sessions are there.
_PRESENTING = """
import os
import sys
from datetime import timedelta
from doorward.audit.model import Actor
from doorward.blocking import run_blocking
from doorward.rotation.model import Presentation, RefreshPolicy, Taken
from doorward.stores import open_store

policy = RefreshPolicy(**dict.fromkeys(("grace", "rest", "window", "idle", "idle_remembered"), timedelta(hours=1)))
store = open_store(sys.argv[1], blocking=True, redis_url=os.environ.get('REDIS_URL'))
run_blocking(store.open())
taken = 0
for key in map(int, sys.argv[2:]):
    session = run_blocking(store.session(key)).session
    presented = Presentation(key=key, generation=0, secret_hash=session.secret_hash)
    print("ready", flush=True)
    sys.stdin.readline()
    taken += isinstance(run_blocking(store.rotate(presented, policy, actor=Actor())), Taken)
print(taken)
"""


PROCESSES = 3


async def race_processes(store: Store, address: str, **environment: str) -> None:
    """Let processes present the first generation of each of ten sessions at once: each has one successor.

    Args:
        store: has an account, and is the one at the address.
        address: of the store, as processes open it.
        environment: of the processes, beside this one's.
    """
    await sign_up(store)
    sessions = [await start(store, number) for number in range(1, 11)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(  # noqa: ASYNC220 -- short
                    [sys.executable, "-c", _PRESENTING, address, *[str(session.key) for session in sessions]],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=os.environ | environment,
                )
            )
            for _ in range(PROCESSES)
        ]
        for _ in sessions:
            for process in processes:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
        taken = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(taken) == len(sessions)
    assert {(await row(store, session)).generation for session in sessions} == {1}


class InThreads(StoreSuite):
    """A store for synchronous code; what happens at once happens in threads."""

    threads: ClassVar[int]

    async def at_once(self, *operations: Callable[[], Coroutine[Any, Any, T]]) -> Sequence[T]:
        together = Barrier(min(self.threads, len(operations)))

        def run(share: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
            together.wait()
            return [run_blocking(operation()) for operation in share]

        shares = [operations[start :: together.parties] for start in range(together.parties)]
        with ThreadPoolExecutor(together.parties) as threads:
            done = list(threads.map(run, shares))
        # Back in the order in which they were given.
        return [done[place % together.parties][place // together.parties] for place in range(len(operations))]
