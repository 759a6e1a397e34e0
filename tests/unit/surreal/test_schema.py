import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keycairn.adapters.surreal import history, open_surreal
from keycairn.adapters.surreal.embedded import EmbeddedConnection
from keycairn.adapters.surreal.migrating import migrate, unburden
from keycairn.adapters.surreal.schema import ANSWERED_FROM_MEMORY, MIGRATIONS
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


async def test_what_is_answered_from_memory_has_no_index_in_the_engine(tmp_path: Path) -> None:
    store = await open_surreal(f"surrealkv://{tmp_path}/db")
    await store.aclose()
    connection = await EmbeddedConnection.open(f"surrealkv://{tmp_path}/db", namespace="keycairn", database="keycairn")
    assert await indexes(connection) == {"event_seq", "usage_age"}
    await connection.close()


async def test_a_database_with_all_indexes_loses_those_that_nobody_asks(database: EmbeddedConnection) -> None:
    await migrate(database.query)
    unasked = {index for some in ANSWERED_FROM_MEMORY.values() for index in some}
    assert unasked < await indexes(database)
    for _ in range(2):
        await unburden(database.query)
        assert await indexes(database) == {"event_seq", "usage_age"}


def test_the_reads_of_an_embedded_store_ask_no_index_that_is_removed() -> None:
    asked = set(re.findall(r"WITH INDEX (\w+)", Path(history.__file__).read_text()))
    assert asked == {"event_seq", "usage_age"}


async def indexes(database: EmbeddedConnection) -> set[str]:
    found: set[str] = set()
    for table in ("credential", "model", "defaults", "keyset", "token", "event", "usage", "head"):
        (info,) = await database.query(f"INFO FOR TABLE {table}", {})
        found |= info["indexes"].keys()
    return found
