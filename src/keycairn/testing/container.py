"""A real Keycairn for a test suite, in a container."""

from base64 import b64encode
from secrets import token_bytes, token_urlsafe
from typing import Any

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy

PORT = 8765
IMAGE = "keycairn:latest"
"""What `docker build -t keycairn .` in a checkout makes."""


class KeycairnContainer(DockerContainer):
    """A Keycairn of its own for a suite: a root key and an admin token made for it, and an empty database in memory.

        with KeycairnContainer() as keycairn:
            httpx.get(f"{keycairn.url}/api/credentials", headers=keycairn.headers)

    Started when the service says that it is ready. `options` go to testcontainers' DockerContainer.
    """

    def __init__(self, image: str = IMAGE, *, environment: dict[str, str] | None = None, **options: Any) -> None:
        super().__init__(image, **options)
        self.token = token_urlsafe(32)
        self.with_exposed_ports(PORT)
        self.with_env("KEYCAIRN_ROOT_KEY", f"base64:{b64encode(token_bytes(32)).decode()}")
        self.with_env("KEYCAIRN_ADMIN_TOKEN", self.token)
        self.with_env("KEYCAIRN_DATABASE_URL", "mem://")
        for name, value in (environment or {}).items():
            self.with_env(name, value)
        self.waiting_for(HttpWaitStrategy(PORT, "/health/ready").for_status_code(200))

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return f"http://{self.get_container_host_ip()}:{self.get_exposed_port(PORT)}"

    @property
    def headers(self) -> dict[str, str]:
        """What a request is authorized by, with every scope."""
        return {"Authorization": f"Bearer {self.token}"}
