"""The pattern's common implementation: FastAPI, pydantic, a query and a decryption for each record."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from cryptography.fernet import Fernet
from listing_data import credential, model
from surrealdb import RecordID
from surrealdb.connections.async_embedded import AsyncEmbeddedSurrealConnection

BATCH = 500


class CommonApp:
    """Made by `open`. `indexed`: lists ask once for the records and once for the numbers of their models."""

    available: ClassVar[bool] = find_spec("fastapi") is not None

    def __init__(self, connection: AsyncEmbeddedSurrealConnection, *, indexed: bool) -> None:
        self.connection: Any = connection
        self._indexed = indexed
        self._fernet = Fernet(Fernet.generate_key())
        self._key = self._fernet.encrypt(b"sk-benchmark-0123456789").decode()
        self.app: Any = self._routes()

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, *, indexed: bool) -> AsyncIterator["CommonApp"]:
        """An empty one in a fresh folder."""
        connection = AsyncEmbeddedSurrealConnection(f"surrealkv://{folder}/db")
        await connection.connect()
        await connection.use("n", "d")
        if indexed:
            await connection.query("DEFINE INDEX m ON model FIELDS credential")
            await connection.query("DEFINE INDEX c ON credential FIELDS provider")
        yield cls(connection, indexed=indexed)
        await connection.close()

    async def fill(self, credentials: int, models: int) -> None:
        """Store the records."""
        rows = [self._row(number) for number in range(credentials)]
        links = [
            {
                "id": RecordID("model", f"{number:09}"),
                "name": made.name,
                "provider": made.provider,
                "type": "language",
                "credential": RecordID("credential", f"{number % credentials:09}"),
            }
            for number in range(models)
            for made in [model(number, credentials)]
        ]
        for table, its in (("credential", rows), ("model", links)):
            for start in range(0, len(its), BATCH):
                await self.connection.query(
                    f"INSERT INTO {table} $rows RETURN NONE", {"rows": its[start : start + BATCH]}
                )

    async def touch(self) -> None:
        """Write something."""
        await self.connection.query("UPDATE $id SET checked = time::now()", {"id": RecordID("credential", f"{0:09}")})

    def _row(self, number: int) -> dict[str, Any]:
        made = credential(number)
        return {
            "id": RecordID("credential", f"{number:09}"),
            "name": made.name,
            "provider": made.provider,
            "modalities": ["language", "embedding"],
            "base_url": "https://api.example.com/v1",
            "api_key": self._key,
            "created": made.created,
            "updated": made.updated,
        }

    def _routes(self) -> Any:  # a route for each operation
        fastapi, pydantic = import_module("fastapi"), import_module("pydantic")
        fernet, connection, indexed = self._fernet, self.connection, self._indexed
        texts: dict[str, Any] = {"name": (str, ...), "provider": (str, ""), "modalities": (list[str], [])}
        given: Any = pydantic.create_model("Given", api_key=(str, ""), **texts)
        shown: Any = pydantic.create_model(
            "Shown",
            id=(str, ...),
            base_url=(str | None, None),
            has_api_key=(bool, ...),
            created=(datetime, ...),
            updated=(datetime, ...),
            model_count=(int, ...),
            **texts,
        )

        async def query(text: str, **values: Any) -> Any:
            return await connection.query(text, values)

        def show(row: dict[str, Any], count: int) -> Any:
            key = fernet.decrypt(row["api_key"]) if row.get("api_key") else b""
            names = ("name", "provider", "modalities", "base_url", "created", "updated")
            fields: dict[str, Any] = {name: row.get(name) for name in names}
            return shown(id=str(row["id"].id), has_api_key=bool(key), model_count=count, **fields)

        async def one(id: RecordID) -> Any:
            [row] = await query("SELECT * FROM $id", id=id)
            models = await query("SELECT count() FROM model WHERE credential = $id GROUP ALL", id=id)
            return show(row, models[0]["count"] if models else 0)

        async def listing(limit: int = 10**9) -> Any:
            if not indexed:
                ids = await query("SELECT VALUE id FROM credential LIMIT $limit", limit=limit)
                return [await one(id) for id in ids]
            rows = await query("SELECT * FROM credential LIMIT $limit", limit=limit)
            grouped = await query("SELECT credential, count() FROM model GROUP BY credential")
            counts = {row["credential"].id: row["count"] for row in grouped}
            return [show(row, counts.get(row["id"].id, 0)) for row in rows]

        async def read(id: str) -> Any:
            return await one(RecordID("credential", id))

        async def create(body: Any) -> Any:
            now = datetime.now(UTC)
            row = {**body.model_dump(), "api_key": fernet.encrypt(body.api_key.encode()).decode()}
            made = await query("CREATE credential CONTENT $row", row={**row, "created": now, "updated": now})
            return show(made[0] if isinstance(made, list) else made, 0)

        async def update(id: str, body: Any) -> Any:
            record = RecordID("credential", id)
            await query("UPDATE $id SET name = $name, updated = time::now()", id=record, name=body.name)
            return await one(record)

        async def remove(id: str) -> Any:
            record = RecordID("credential", id)
            await query("DELETE model WHERE credential = $id", id=record)
            await query("DELETE $id", id=record)
            return {"message": "deleted"}

        create.__annotations__["body"] = update.__annotations__["body"] = given
        app: Any = fastapi.FastAPI()
        app.add_api_route("/api/credentials", listing, methods=["GET"], response_model=list[shown])
        app.add_api_route("/api/credentials", create, methods=["POST"], response_model=shown)
        app.add_api_route("/api/credentials/{id}", read, methods=["GET"], response_model=shown)
        app.add_api_route("/api/credentials/{id}", update, methods=["PUT"], response_model=shown)
        app.add_api_route("/api/credentials/{id}", remove, methods=["DELETE"])
        return app
