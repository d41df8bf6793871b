"""One process: an application of one framework, under each strategy, each at an address of its own.

``python -m tests.frameworks.serve FRAMEWORK CLOCK`` prints the addresses, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

import uvicorn

from doorward.options import Strategy
from tests.frameworks.clock import SharedClock
from tests.frameworks.options import options


async def serve(framework: str, clock: SharedClock) -> None:
    build = import_module(f"tests.frameworks.applications.{framework}").build
    servers, sockets, addresses = [], [], {}
    for strategy in get_args(Strategy):
        listening = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = build(**options(strategy, clock, issuer=address))
        servers.append(uvicorn.Server(uvicorn.Config(app, lifespan="on", log_level="warning")))
        sockets.append(listening)
        addresses[strategy] = address
    serving = [asyncio.create_task(each.serve([at])) for each, at in zip(servers, sockets, strict=True)]
    while not all(each.started for each in servers):
        if any(task.done() for task in serving):
            raise SystemExit("a server did not start")
        await asyncio.sleep(0.01)
    print(json.dumps(addresses), flush=True)  # noqa: T201 -- how the parent learns of them
    await asyncio.to_thread(sys.stdin.read)
    for each in servers:
        each.should_exit = each.force_exit = True
    await asyncio.gather(*serving)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], SharedClock(Path(sys.argv[2]))))
