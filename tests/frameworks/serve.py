"""One process: an application of one framework, under each strategy, each at an address of its own.

``python -m tests.frameworks.serve FRAMEWORK CLOCK`` prints the addresses, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import httpx
import uvicorn
from werkzeug.serving import make_server

from doorward.options import Strategy
from tests.frameworks.clock import SharedClock
from tests.frameworks.options import options

Listening = Mapping[Strategy, socket.socket]


def address_of(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def say_ready(listening: Listening) -> None:
    addresses = {strategy: address_of(each) for strategy, each in listening.items()}
    print(json.dumps(addresses), flush=True)  # noqa: T201 -- how the parent learns of them


def built(framework: str, strategy: Strategy, clock: SharedClock, at: socket.socket) -> Any:
    build = import_module(f"tests.frameworks.applications.{framework}").build
    return build(**options(strategy, clock, issuer=address_of(at)))


async def with_uvicorn(framework: str, clock: SharedClock, listening: Listening) -> None:
    servers, serving = [], []
    for strategy, at in listening.items():
        app = built(framework, strategy, clock, at)
        server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_level="warning"))
        servers.append(server)
        serving.append(asyncio.create_task(server.serve([at])))
    while not all(each.started for each in servers):
        if any(task.done() for task in serving):
            raise SystemExit("a server did not start")
        await asyncio.sleep(0.01)
    say_ready(listening)
    await asyncio.to_thread(sys.stdin.read)
    for each in servers:
        each.should_exit = each.force_exit = True
    await asyncio.gather(*serving)


def with_threads(framework: str, clock: SharedClock, listening: Listening) -> None:
    for strategy, at in listening.items():
        app = built(framework, strategy, clock, at)
        server = make_server("127.0.0.1", 0, app, threaded=True, fd=at.fileno())
        server.log = lambda *_: None  # type: ignore[method-assign]  # a line a request
        threading.Thread(target=server.serve_forever, daemon=True).start()
    say_ready(listening)
    sys.stdin.read()  # the threads end with the process


GUNICORN = ("gunicorn", "--threads", "4", "--no-control-socket", "--log-level", "warning", "--bind", "fd://{}")
UVICORN = ("uvicorn", "--log-level", "warning", "--fd", "{}")


def with_processes(framework: str, server: Sequence[str], clock: Path, listening: Listening) -> None:
    """Django has its settings once a process."""
    processes = []
    for strategy, at in listening.items():
        app = f"tests.frameworks.applications.{framework}:app"
        said = {"APPLICATION_STRATEGY": strategy, "APPLICATION_ADDRESS": address_of(at)}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", *(each.format(at.fileno()) for each in server), app],
                env={**os.environ, **said, "APPLICATION_CLOCK": str(clock)},
                pass_fds=[at.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        )
    try:
        for process, at in zip(processes, listening.values(), strict=True):
            until_ready(process, address_of(at))
        say_ready(listening)
        sys.stdin.read()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


def until_ready(process: subprocess.Popen[bytes], address: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{address}/auth/healthz", timeout=10, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise SystemExit("a server did not start")


def main(framework: str, clock: Path) -> None:
    listening: Listening = {strategy: socket.create_server(("127.0.0.1", 0)) for strategy in get_args(Strategy)}
    if framework == "django":
        with_processes(framework, GUNICORN, clock, listening)
    elif framework == "channels":
        with_processes(framework, UVICORN, clock, listening)
    elif framework in {"flask", "wsgi"}:
        with_threads(framework, SharedClock(clock), listening)
    else:
        asyncio.run(with_uvicorn(framework, SharedClock(clock), listening))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
