"""The keys that encrypt everything, over HTTP."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from litestar import Controller, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Struct

from keycairn.app.services.keys import Encryption, Forgotten
from keycairn.app.web.auth import Options
from keycairn.app.web.inputs import TheCaller, TheKeycairn
from keycairn.domain.errors import InvalidInputError, RootKeyError
from keycairn.domain.rootkey import RootKey, parse_root_key
from keycairn.domain.secret import MASK, Secret
from keycairn.domain.token import Scope

KEEPER: Options = {"scope": Scope.ADMIN, "installation": True}


class NewRootKey(Struct, frozen=True, forbid_unknown_fields=True):
    """`root_key` and `current_root_key` each in one of their forms, `base64:...` or `passphrase:...`.

    `now` drops the slots of former root keys at once: after a leak.
    """

    root_key: Secret
    current_root_key: Secret
    now: bool = False

    def __repr__(self) -> str:
        return f"NewRootKey({MASK})"


class EncryptionController(Controller):
    """Watch and rotate."""

    path = "/api/encryption"
    tags: Sequence[str] | None = ("Encryption",)

    @get("/", opt=KEEPER, operation_id="get_encryption", summary="How everything is encrypted")
    async def status(self, keycairn: TheKeycairn) -> Encryption:
        """The keys by state, how many secrets each seals, and which secrets do not open. No key is in it."""
        return await keycairn.rotation.status()

    @post("/verify", opt=KEEPER, status_code=200, operation_id="verify_secrets", summary="Try to open every secret")
    async def verify(self, keycairn: TheKeycairn) -> Encryption:
        """Tries each stored secret once and marks what does not open; the answer lists it as quarantined."""
        await keycairn.credential_opener.sweep()
        return await keycairn.rotation.status()

    @post("/rotate", opt=KEEPER, status_code=202, operation_id="rotate_data_key", summary="Rotate the data key")
    async def rotate(self, keycairn: TheKeycairn, caller: TheCaller) -> Encryption:
        """Begins in the background, or finishes the rotation under way; calls and edits go on. Watch the status."""
        await keycairn.rotation.start(by=caller)
        return await keycairn.rotation.status()

    @post(
        "/keys/{kid:int}/forget",
        opt=KEEPER,
        status_code=200,
        operation_id="forget_data_key",
        summary="Forget a retired data key",
    )
    async def forget(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        kid: Annotated[int, PathParameter(description="The number of the data key.")],
        *,
        dry_run: Annotated[bool, QueryParameter(description="Only say what would happen.")] = False,
    ) -> Forgotten:
        """Removes it for good, once every record was tried without it; with `dry_run`, only says what would be.

        The answer names the backups in the backup folder that need the key and bring it along, wrapped.
        """
        return await keycairn.retired_keys.forget(kid, dry_run=dry_run, by=caller)

    @post("/root-key", opt=KEEPER, status_code=200, operation_id="change_root_key", summary="Change the root key")
    async def change_root_key(self, keycairn: TheKeycairn, caller: TheCaller, data: JSONBody[NewRootKey]) -> Encryption:
        """The present root key is asked for too: no token stands in for it, and few wrong ones are taken in a minute.

        Give the new one to the next start; the former one opens everything until that start, or nothing with `now`.
        """
        try:
            new = parse_root_key(data.root_key)
        except RootKeyError as error:
            raise InvalidInputError(str(error), {"root_key": "cannot be used"}) from None
        present: RootKey | None = None
        with suppress(RootKeyError):
            present = parse_root_key(data.current_root_key)
        return await keycairn.root_keys.change(new, present=present, now=data.now, by=caller)
