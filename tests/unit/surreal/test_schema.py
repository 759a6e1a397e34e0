from collections.abc import AsyncIterator

import pytest

from keycairn.adapters.surreal.embedded import EmbeddedConnection
from keycairn.adapters.surreal.schema import MIGRATIONS, migrate
from keycairn.domain.errors import KeycairnError, StoreError


@pytest.fixture
async def database() -> AsyncIterator[EmbeddedConnection]:
    connection = await EmbeddedConnection.open("mem://", namespace="n", database="d")
    yield connection
    await connection.close()


async def test_migrating_twice_is_a_no_op(database: EmbeddedConnection) -> None:
    assert await migrate(database.query) == len(MIGRATIONS)
    assert await migrate(database.query) == 0


async def test_only_what_is_missing_is_applied(database: EmbeddedConnection) -> None:
    await migrate(database.query, ("CREATE thing:a;",))
    assert await migrate(database.query, ("CREATE thing:a;", "CREATE thing:b;", "CREATE thing:c;")) == 2
    assert await database.query("SELECT VALUE record::id(id) FROM thing", {}) == [["a", "b", "c"]]


async def test_a_newer_database_is_refused_in_plain_words(database: EmbeddedConnection) -> None:
    await migrate(database.query, ("CREATE thing:a;", "CREATE thing:b;"))
    with pytest.raises(StoreError, match="of schema 2, and this Keycairn knows schemas up to 1"):
        await migrate(database.query, ("CREATE thing:a;",))


async def test_a_failing_migration_leaves_no_trace(database: EmbeddedConnection) -> None:
    for broken in ("CREATE thing:a; THROW 'no';", "CREATE thing:a; CREATE thing:a;"):
        with pytest.raises(KeycairnError):
            await migrate(database.query, (broken,))
        assert await database.query("SELECT VALUE number FROM migration; SELECT * FROM thing", {}) == [[], []]
    assert await migrate(database.query, ("CREATE thing:a;",)) == 1


async def test_no_unknown_column_is_dropped_in_silence(database: EmbeddedConnection) -> None:
    await migrate(database.query)
    for table in ("credential", "model", "defaults", "keyset", "token", "event", "revision", "migration"):
        (info,) = await database.query(f"INFO FOR TABLE {table}", {})
        assert info["fields"], table
