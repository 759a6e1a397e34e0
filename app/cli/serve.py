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
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes; more need a database server.",
)
@click.option("--as-worker", hidden=True)
def serve(host: str | None, port: int | None, workers: int, as_worker: str | None, *, new_database: bool) -> int | None:
    """Start the service, and say where it is.

    The first start makes a root key and an admin token in the data folder and says where they lie. Ctrl-C stops it;
    calls under way get ten seconds to finish, and none after a second Ctrl-C. What can be set is listed by
    `keycairn settings`. With several workers, processes share the port, and one that ends is started anew.
    """
    read = settings()
    chosen = replace(read, host=host or read.host, port=read.port if port is None else port)
    if workers > 1 and read.embedded:
        from keycairn.domain.errors import SettingsError  # noqa: PLC0415  # as below

        raise SettingsError(
            "Several workers need a database server, since one process alone can have an embedded database open. "
            "Set KEYCAIRN_DATABASE_URL to a ws:// or wss:// address, or serve without --workers."
        )
    from keycairn.app.cli import serving  # noqa: PLC0415  # 1 s, after the settings were found good

    if workers == 1:
        serving.serve(chosen, new_database=new_database, as_worker=as_worker)
        return None
    words = [*(["--host", host] if host else []), *(["--new-database"] if new_database else [])]
    return serving.supervise(chosen, words, workers=workers)
