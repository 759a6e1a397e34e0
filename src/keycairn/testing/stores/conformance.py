"""All that `keycairn.ports.store.Store` promises, as one class."""

from keycairn.testing.stores.chain import ChainConformance
from keycairn.testing.stores.commits import CommitConformance
from keycairn.testing.stores.edits import EditConformance
from keycairn.testing.stores.reading import ReadingConformance
from keycairn.testing.stores.records import RecordConformance
from keycairn.testing.stores.references import ReferenceConformance
from keycairn.testing.stores.retention import RetentionConformance
from keycairn.testing.stores.whole import WholeConformance


class StoreConformance(
    RecordConformance,
    EditConformance,
    CommitConformance,
    ReferenceConformance,
    ReadingConformance,
    ChainConformance,
    RetentionConformance,
    WholeConformance,
):
    """What has to be true of a store.

    Subclass it, and say how an empty store is opened and closed again:

        class TestPostgresStore(StoreConformance):
            @asynccontextmanager
            async def opened(self, folder: Path) -> AsyncIterator[Store]:
                store = await PostgresStore.open("postgresql://localhost/empty")
                yield store
                await store.aclose()

    Each test gets a store of its own. Its name is the promise, and stands in the message when it fails.
    """
