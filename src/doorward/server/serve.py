"""``doorward serve``: one process, or several behind one socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doorward.blocking import run_blocking
from doorward.errors import ConfigurationError, Problem
from doorward.server.app import ServerApp, keep_for_good, secrets_of
from doorward.server.banner import banner
from doorward.server.logs import set_up_logs
from doorward.server.metrics import SHARED_FOLDER
from doorward.server.settings import Settings, pages_of, warnings_of
from doorward.server.sources import PREFIX, config_file, service_variables

if TYPE_CHECKING:
    import uvicorn

BACKLOG = 2048
MOST_CONNECTIONS = 4096
ENDS_WITHIN = timedelta(seconds=10)
"""How long requests that are being answered may take once the server has been asked to end."""

_STARTED_WRONG = 1

_log = logging.getLogger("doorward.server")


def serve(settings: Settings, *, flags: Mapping[str, Any], config: Path | None) -> int:
    """Serve until SIGTERM or SIGINT.  Returns the exit code.

    Args:
        settings: what holds.
        flags: what of it the command line gave; workers learn of it through the environment.
        config: the file that the command line named.

    Raises:
        ConfigurationError: the address cannot be listened on, or the settings cannot be used.
        DatabaseUnusable: the database cannot be used; says what to do.
    """
    for problem in warnings_of(settings):
        print(f"Warning {problem}", file=sys.stderr)  # noqa: T201 -- for whoever started it
    set_up_logs(settings.log_format, level=settings.log_level, known=settings.secrets)
    passed_over = service_variables()
    if passed_over:
        _log.info("variables of a Kubernetes Service are not read as settings", extra={"variables": passed_over})
    with listening(settings.host, settings.port) as sock:
        # Port 0 lets the system choose.
        settings = settings.model_copy(update={"port": sock.getsockname()[1]})
        if settings.workers > 1:
            return _serve_several(settings, sock, flags=flags, config=config)
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve_alone(settings, sock))
    return 0


async def _serve_alone(settings: Settings, sock: socket.socket) -> None:
    app = ServerApp(settings.doorward(), settings)
    async with app.life():
        server = _server_class()(_uvicorn_config(app, settings, lifespan="off"))
        _say(banner(settings, secret_file=app.auth.secret_file))
        _log.info("serving", extra={"address": settings.address, "strategy": settings.strategy})
        keep_for_good()
        await server.serve(sockets=[sock])


def _serve_several(settings: Settings, sock: socket.socket, *, flags: Mapping[str, Any], config: Path | None) -> int:
    from uvicorn.supervisors import Multiprocess

    pages_of(settings)
    auth = settings.doorward(blocking=True)
    # Opened once here: whatever is wrong is told once, and the workers find database, keys and secret made.
    run_blocking(auth.open())
    set_up_logs(settings.log_format, level=settings.log_level, known=secrets_of(auth, settings))
    run_blocking(auth.close())
    with tempfile.TemporaryDirectory(prefix="doorward-metrics-") as folder:
        os.environ.update(environment_of({**flags, "port": settings.port}, config=config), **{SHARED_FOLDER: folder})
        supervisor = Multiprocess(
            _uvicorn_config("doorward.server.app:create_app", settings, lifespan="on"), sockets=[sock]
        )
        _say(banner(settings, secret_file=auth.secret_file))
        supervisor.run()
    return (
        _STARTED_WRONG
        if any(process.exitcode not in {0, -signal.SIGTERM, -signal.SIGINT} for process in supervisor.processes)
        else 0
    )


def environment_of(flags: Mapping[str, Any], *, config: Path | None) -> dict[str, str]:
    """The variables that say what the flags said."""
    found = {PREFIX + name.upper(): _variable(value) for name, value in flags.items() if value is not None}
    file = config_file(config)
    return found | ({f"{PREFIX}CONFIG": str(file.absolute())} if file is not None else {})


def _variable(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _uvicorn_config(app: ServerApp | str, settings: Settings, *, lifespan: str) -> uvicorn.Config:
    import uvicorn

    from doorward.server.protocol import BoundedProtocol

    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        interface="asgi3",
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan=lifespan,  # type: ignore[arg-type]  # "on" or "off"
        workers=settings.workers,
        # Our own logs, by the observer; uvicorn's would say query strings.
        log_config=None,
        access_log=False,
        server_header=False,
        # ServerApp reads them itself.
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=int(ENDS_WITHIN.total_seconds()),
    )


def _server_class() -> type[uvicorn.Server]:
    """Made here, since uvicorn is slow to import."""
    import uvicorn

    class Server(uvicorn.Server):
        """Ends on a signal and leaves it at that: uvicorn raises it again, which would end us before we have closed."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            loop = asyncio.get_running_loop()
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(each, self.handle_exit, each, None)
            yield

    return Server


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens: taken before anything else is done, so that a port in use is told at once.

    Raises:
        ConfigurationError: it cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError([_not_listening(host, port, error)]) from None
    with sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError as error:
            raise ConfigurationError([_not_listening(host, port, error)]) from None
        yield sock


def _not_listening(host: str, port: int, error: OSError) -> Problem:
    if error.errno == errno.EADDRINUSE:
        message = f"Port {port} of {host} is taken."
        remedy = "End what listens there, or choose another with --port (0 lets the system choose)."
        return Problem(id="DW068", message=message, remedy=remedy)
    remedy = "Ports below 1024 need a privilege: choose another with --port."
    if error.errno not in {errno.EACCES, errno.EPERM}:
        remedy = "Give an address of this machine with --host, such as 127.0.0.1 or 0.0.0.0."
    return Problem(id="DW069", message=f"{host}, port {port}, cannot be listened on: {error.strerror}.", remedy=remedy)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 -- for whoever started it
