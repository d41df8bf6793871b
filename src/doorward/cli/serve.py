"""``doorward serve``."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from doorward.cli.flags import Config, Database

_Text = Optional[str]  # noqa: UP045 -- evaluated by typer
_Number = Optional[int]  # noqa: UP045


def serve(
    *,
    host: Annotated[_Text, typer.Option(help="The address to listen on.  [127.0.0.1]", show_default=False)] = None,
    port: Annotated[
        _Number, typer.Option(help="0 lets the system choose.  [8000]", min=0, max=65_535, show_default=False)
    ] = None,
    strategy: Annotated[
        _Text,
        typer.Option(help="How sessions are carried: session, jwt or hybrid.  [hybrid]", show_default=False),
    ] = None,
    database: Database = None,
    redis_url: Annotated[
        _Text,
        typer.Option(
            help="Keep sessions there: redis://... or rediss://...  With a password, rather DOORWARD_REDIS_URL.",
            show_default=False,
        ),
    ] = None,
    issuer: Annotated[
        _Text, typer.Option(help="The address that clients know.  [the server's own]", show_default=False)
    ] = None,
    workers: Annotated[_Number, typer.Option(help="Processes.  [1]", min=1, max=64, show_default=False)] = None,
    forwarded_allow_ips: Annotated[
        _Text,
        typer.Option(
            help="Proxies that are believed about the client's address, comma-separated.  [none]", show_default=False
        ),
    ] = None,
    log_format: Annotated[
        _Text, typer.Option(help="auto, console or json.  [auto: console on a terminal]", show_default=False)
    ] = None,
    log_level: Annotated[_Text, typer.Option(help="debug, info, warning or error.  [info]", show_default=False)] = None,
    lab: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--lab", help="Serve the strategy lab at /lab; on loopback alone.  [off]", show_default=False),
    ] = None,
    config: Config = None,
) -> None:
    """Run the server until it is told to end.

    Every setting can also be given in the environment (--port as DOORWARD_PORT) or in doorward.toml (port).
    """
    from doorward.cli.streams import is_no_result
    from doorward.server.serve import serve as run_server
    from doorward.server.settings import load_settings

    flags = {
        "host": host,
        "port": port,
        "strategy": strategy,
        "database": database,
        "redis_url": redis_url,
        "issuer": issuer,
        "workers": workers,
        "forwarded_allow_ips": forwarded_allow_ips,
        "log_format": log_format,
        "log_level": log_level,
        "lab": lab,
    }
    is_no_result()
    settings = load_settings(flags, config=config).settings
    raise typer.Exit(run_server(settings, flags=flags, config=config))
