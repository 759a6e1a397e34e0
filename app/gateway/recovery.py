"""Trying refused keys again, at growing intervals, so that a repaired account comes back by itself."""

import asyncio
from contextlib import suppress

import structlog

from keycairn.app.gateway.health import Health
from keycairn.app.services.credentials import CredentialOpener
from keycairn.domain.credential import Credential
from keycairn.domain.errors import KeycairnError, PluginFailedError
from keycairn.ports.http import Http
from keycairn.ports.provider import ProviderRegistry

_log = structlog.get_logger()


class Recovery:
    """Checks a refused key in the background, when a call passes it by and its rest is over."""

    def __init__(self, health: Health, opener: CredentialOpener, registry: ProviderRegistry, http: Http) -> None:
        self._health = health
        self._opener = opener
        self._registry = registry
        self._http = http
        self._tasks: set[asyncio.Task[None]] = set()

    def consider(self, credential: Credential) -> None:
        """Begin a probe where one is due."""
        if self._health.due(credential):
            task = asyncio.create_task(self._probe(credential))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """End the probes under way."""
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _probe(self, credential: Credential) -> None:
        try:
            provider = self._registry.get(credential.provider)
            account = await self._opener.open(credential, purpose="recovery")
            report = await provider.check(account, self._http)
        except PluginFailedError:
            return
        except KeycairnError:
            self._health.refused(credential)
            return
        if report.success:
            _log.info("a refused key works again", credential=credential.id)
            self._health.good(credential)
        else:
            self._health.refused(credential)
