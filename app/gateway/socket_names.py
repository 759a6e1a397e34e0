"""The models that a client's messages name, besides the one its handshake named."""

import re

import msgspec

from keycairn.app.gateway.body_members import models_named
from keycairn.domain.errors import ListedModelsError, RequestRefusedError
from keycairn.domain.reach import Reach
from keycairn.ports.websocket import Message

_NAMED = re.compile(rb'"model"[ \t\r\n]*+:[ \t\r\n]*+')


class SocketNames:
    """What a session of a model may name in its messages: `given` is the client's name for it, `own` the provider's.

    `listed` is the reach of a token that may call certain models only, None for one that may call all of `provider`.
    """

    def __init__(self, given: str, own: str, provider: str, listed: Reach | None) -> None:
        self._given, self._own = given, own
        self._provider = provider
        self._listed = listed
        self._spelled = msgspec.json.encode(given)
        self._wanted = msgspec.json.encode(own)

    def __call__(self, message: Message) -> Message:
        """The message for the provider. Raises ListedModelsError, and RequestRefusedError for what cannot be judged."""
        data = message.data
        if self._listed is not None:
            self._check(message)
        if self._given != self._own and self._spelled in data:
            data = re.sub(rb"(" + _NAMED.pattern + rb")" + re.escape(self._spelled), self._renamed, data)
            return Message(data, message.text)
        return message

    def _renamed(self, found: re.Match[bytes]) -> bytes:
        return found[1] + self._wanted

    def _check(self, message: Message) -> None:
        try:
            named = list(models_named(message.data))
        except (ValueError, RecursionError):
            raise RequestRefusedError("A message must be a JSON object.") from None
        if not all(isinstance(name, str) and self._may_be(name) for name in named):
            raise ListedModelsError

    def _may_be(self, name: str) -> bool:
        listed = self._listed is None or self._listed.names(self._provider, name)
        return listed or name in {self._given, self._own}
