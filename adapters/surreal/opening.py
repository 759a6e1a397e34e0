"""From a database URL to a store that is migrated and ready."""

from keycairn.adapters.surreal.dialect import dialect_of
from keycairn.adapters.surreal.embedded import MEMORY, SCHEME, EmbeddedConnection
from keycairn.adapters.surreal.remote import RemoteConnection
from keycairn.adapters.surreal.restoring import NONE, PATIENCE, Claim
from keycairn.adapters.surreal.schema import migrate
from keycairn.adapters.surreal.store import SurrealStore
from keycairn.domain.errors import SettingsError
from keycairn.domain.secret import Secret


async def open_surreal(
    url: str,
    *,
    namespace: str = "keycairn",
    database: str = "keycairn",
    user: str | None = None,
    password: Secret | None = None,
    deadline: float = 10.0,
) -> SurrealStore:
    """The store at `url`: `surrealkv://<path>`, `mem://`, `ws://host:port` or `wss://host:port`.

    `user`, `password` and `deadline` (seconds for each call) are for servers. Raises StoreLockedError when another
    process has the folder open, StoreUnavailableError when the server does not answer or refuses the password,
    StoreError for a database of a newer schema, RestoringError while another process restores a backup there,
    SettingsError for another kind of URL. What a restore that was cut off has left is removed.
    """
    connection: EmbeddedConnection | RemoteConnection
    if url.startswith(("ws://", "wss://")):
        connection = RemoteConnection(
            url, namespace=namespace, database=database, user=user, password=password, deadline=deadline
        )
    elif url == MEMORY or (url.startswith(SCHEME) and url != SCHEME):
        connection = await EmbeddedConnection.open(url, namespace=namespace, database=database)
    else:
        raise SettingsError("The database URL must be surrealkv://<path>, mem://, ws://<host> or wss://<host>.")
    try:
        dialect = dialect_of(await connection.version())
        await migrate(connection.query)
        claim = Claim(connection.query)
        if await claim.take_over(patience=PATIENCE if connection.shared else NONE):
            await claim.give_up()
    except BaseException:
        await connection.close()
        raise
    return SurrealStore(connection, dialect)
