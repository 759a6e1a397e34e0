"""A real Keycairn, and a real SurrealDB server, for a test suite, in containers."""

import time
from base64 import b64encode
from secrets import token_bytes, token_urlsafe
from typing import Any

import httpx
from testcontainers.core.container import DockerContainer
from testcontainers.core.waiting_utils import WaitStrategy, WaitStrategyTarget

from keycairn.testing.running import LAST_WORDS, NotStartedError

PORT = 8765
IMAGE = "keycairn:latest"
"""What `docker build -t keycairn .` in a checkout makes."""
SURREALDB = "surrealdb/surrealdb:v3.3.5"
SURREALDB_PORT = 8000


class Answering(WaitStrategy):
    """Waits until `path` answers 200. Raises NotStartedError, with its last words, once the container has ended."""

    def __init__(self, port: int, path: str) -> None:
        super().__init__()
        self._port = port
        self._path = path

    def wait_until_ready(self, container: WaitStrategyTarget) -> None:
        """See `WaitStrategy.wait_until_ready`."""
        until = time.monotonic() + self._startup_timeout
        while time.monotonic() < until:
            container.reload()
            if container.status in {"exited", "dead"}:
                raise NotStartedError(f"The container has ended:\n{_last_words(container)}")
            if self._answers(container):
                return
            time.sleep(min(self._poll_interval, 0.2))
        raise NotStartedError(
            f"The container did not answer within {self._startup_timeout:.0f} seconds:\n{_last_words(container)}"
        )

    def _answers(self, container: WaitStrategyTarget) -> bool:
        try:
            origin = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(self._port)}"
            return httpx.get(origin + self._path, timeout=5).status_code == httpx.codes.OK
        except (httpx.TransportError, ConnectionError):
            return False


class KeycairnContainer(DockerContainer):
    """A Keycairn of its own for a suite: a root key and an admin token made for it, and an empty database in memory.

        with KeycairnContainer() as keycairn:
            httpx.get(f"{keycairn.url}/api/credentials", headers=keycairn.headers)

    Started when the service says that it is ready; NotStartedError with its last words where it ends instead.
    `options` go to testcontainers' DockerContainer.
    """

    def __init__(self, image: str = IMAGE, *, environment: dict[str, str] | None = None, **options: Any) -> None:
        super().__init__(image, **options)
        self.token: str = token_urlsafe(32)
        self.with_exposed_ports(PORT)
        self.with_env("KEYCAIRN_ROOT_KEY", f"base64:{b64encode(token_bytes(32)).decode()}")
        self.with_env("KEYCAIRN_ADMIN_TOKEN", self.token)
        self.with_env("KEYCAIRN_DATABASE_URL", "mem://")
        for name, value in (environment or {}).items():
            self.with_env(name, value)
        self.waiting_for(Answering(PORT, "/health/ready"))

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return f"http://{self.get_container_host_ip()}:{self.get_exposed_port(PORT)}"

    @property
    def headers(self) -> dict[str, str]:
        """What a request is authorized by, with every scope."""
        return {"Authorization": f"Bearer {self.token}"}


class SurrealContainer(DockerContainer):
    """A SurrealDB server of its own for a suite, on RocksDB, with a user of the server and a password made for it.

        with SurrealContainer() as surreal:
            Settings(database_url=surreal.url, database_user=surreal.user, database_password=Secret(surreal.password))

    Started when it answers; NotStartedError with its last words where it ends instead.
    """

    def __init__(self, image: str = SURREALDB, **options: Any) -> None:
        super().__init__(image, **options)
        self.user = "root"
        self.password: str = token_urlsafe(24)
        self.with_exposed_ports(SURREALDB_PORT)
        self.with_kwargs(user="root")
        self.with_command(f"start --bind 0.0.0.0:{SURREALDB_PORT} rocksdb:///keycairn?sync=every")
        self.with_env("SURREAL_USER", self.user)
        self.with_env("SURREAL_PASS", self.password)
        self.waiting_for(Answering(SURREALDB_PORT, "/health"))

    @property
    def url(self) -> str:
        """For `KEYCAIRN_DATABASE_URL`."""
        return f"ws://{self.get_container_host_ip()}:{self.get_exposed_port(SURREALDB_PORT)}"


def _last_words(container: WaitStrategyTarget) -> str:
    said = b"".join(container.get_logs()).decode(errors="replace")
    return "\n".join(said.splitlines()[-LAST_WORDS:])
