"""The command that serves."""

import click
from msgspec.structs import replace

from keycairn.app.cli.settings import settings


@click.command()
@click.option("--host", help="Address to listen on, in place of KEYCAIRN_HOST.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, in place of KEYCAIRN_PORT.")
@click.option(
    "--new-database", is_flag=True, help="Begin with an empty database where the former one is missing. Its files stay."
)
def serve(host: str | None, port: int | None, *, new_database: bool) -> None:
    """Start the service, and say where it is.

    The first start makes a root key and an admin token in the data folder and says where they lie. Ctrl-C stops it;
    calls under way get ten seconds to finish, and none after a second Ctrl-C. What can be set is listed by
    `keycairn settings`.
    """
    read = settings()
    chosen = replace(read, host=host or read.host, port=read.port if port is None else port)
    from keycairn.app.cli import serving  # noqa: PLC0415  # 1 s, after the settings were found good

    serving.serve(chosen, new_database=new_database)
