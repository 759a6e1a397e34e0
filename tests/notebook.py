"""A faithful Open Notebook database: its schema, its singletons, and its way of encrypting keys."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import pbkdf2_hmac, sha256
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from surrealdb import RecordID

from keycairn.adapters.surreal.embedded import EmbeddedConnection

NAMESPACE, DATABASE = "open_notebook", "production"
PASSPHRASE = "a passphrase of an old notebook"
THEN = datetime(2025, 3, 4, 5, 6, 7, 890000, tzinfo=UTC)
LATER = datetime(2025, 9, 1, tzinfo=UTC)

# As in its migrations 1 to 15; the tables that hold no account are left out.
SCHEMA = """
DEFINE TABLE IF NOT EXISTS model SCHEMALESS;
DEFINE TABLE credential SCHEMAFULL;
DEFINE FIELD name ON credential TYPE string;
DEFINE FIELD provider ON credential TYPE string;
DEFINE FIELD modalities ON credential TYPE array DEFAULT [];
DEFINE FIELD modalities.* ON credential TYPE string;
DEFINE FIELD api_key ON credential TYPE option<string>;
DEFINE FIELD base_url ON credential TYPE option<string>;
DEFINE FIELD endpoint ON credential TYPE option<string>;
DEFINE FIELD api_version ON credential TYPE option<string>;
DEFINE FIELD endpoint_llm ON credential TYPE option<string>;
DEFINE FIELD endpoint_embedding ON credential TYPE option<string>;
DEFINE FIELD endpoint_stt ON credential TYPE option<string>;
DEFINE FIELD endpoint_tts ON credential TYPE option<string>;
DEFINE FIELD project ON credential TYPE option<string>;
DEFINE FIELD location ON credential TYPE option<string>;
DEFINE FIELD credentials_path ON credential TYPE option<string>;
DEFINE FIELD config ON credential FLEXIBLE TYPE option<object>;
DEFINE FIELD created ON credential TYPE option<datetime> DEFAULT time::now();
DEFINE FIELD updated ON credential TYPE option<datetime> DEFAULT time::now();
DEFINE INDEX idx_credential_provider ON credential FIELDS provider;
DEFINE FIELD credential ON model TYPE option<record<credential>>;
UPSERT open_notebook:default_models SET default_chat_model = "";
"""


def encrypted(key: str, passphrase: str = PASSPHRASE) -> str:
    """As its versions up to mid-2026 store a key."""
    return Fernet(urlsafe_b64encode(sha256(passphrase.encode()).digest())).encrypt(key.encode()).decode()


def encrypted_anew(key: str, passphrase: str = PASSPHRASE) -> str:
    """As its later versions do."""
    derived = pbkdf2_hmac("sha256", passphrase.encode(), b"open-notebook-credential-v1", 600_000)
    return "pbkdf2v1:" + Fernet(urlsafe_b64encode(derived)).encrypt(key.encode()).decode()


class Notebook:
    """Writes records as the application does."""

    def __init__(self, connection: EmbeddedConnection) -> None:
        self._connection = connection

    async def run(self, text: str, **variables: object) -> list[Any]:
        return await self._connection.query(text, variables)

    async def credential(self, key: str, **fields: object) -> None:
        row = {"name": key, "provider": "openai", "modalities": ["language"], "created": THEN, "updated": LATER}
        await self.run("CREATE $id CONTENT $row", id=RecordID("credential", key), row=row | fields)

    async def model(self, key: str, credential: str | None = None, **fields: object) -> None:
        row: dict[str, object] = {"name": "gpt-4o", "provider": "openai", "type": "language", "created": THEN}
        link = {"credential": RecordID("credential", credential)} if credential else {}
        await self.run("CREATE $id CONTENT $row", id=RecordID("model", key), row=row | link | fields)

    async def defaults(self, **slots: str) -> None:
        await self.run("UPSERT open_notebook:default_models MERGE $slots", slots=slots)

    async def legacy(self, credentials: Mapping[str, object]) -> None:
        await self.run("UPSERT open_notebook:provider_configs CONTENT $row", row={"credentials": credentials})

    async def everything(self) -> list[Any]:
        return await self.run("SELECT * FROM credential; SELECT * FROM model; SELECT * FROM open_notebook;")


@asynccontextmanager
async def open_notebook(folder: Path) -> AsyncIterator[Notebook]:
    """The database in `folder`, made where it is not there."""
    connection = await EmbeddedConnection.open(f"surrealkv://{folder}", namespace=NAMESPACE, database=DATABASE)
    try:
        notebook = Notebook(connection)
        if not (await notebook.run("INFO FOR DB"))[0]["tables"]:
            await notebook.run(SCHEMA)
        yield notebook
    finally:
        await connection.close()
