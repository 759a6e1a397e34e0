"""Accounts that are proven at their provider before they are stored, so that a wrong key takes no good one's place."""

from msgspec.structs import replace

from keycairn.app.services.credentials import CredentialPatch, Credentials, Listed
from keycairn.app.services.models.probing import Probing
from keycairn.app.services.models.synced import Checked
from keycairn.domain.audit import IN_PROCESS, Caller
from keycairn.domain.credential import Credential
from keycairn.domain.errors import NotProvenError
from keycairn.domain.ids import CredentialId


class Proving:
    """Creates and changes credentials whose key their provider takes, and no others."""

    def __init__(self, credentials: Credentials, probing: Probing) -> None:
        self._credentials = credentials
        self._probing = probing

    async def create_from(
        self, provider: str, patch: CredentialPatch, *, id: CredentialId | None = None, by: Caller = IN_PROCESS
    ) -> Listed:
        """As `Credentials.create_from`. Raises NotProvenError besides, and nothing is stored then."""
        key = id or self._credentials.new_id()
        checked = await self._checked(self._credentials.draft(provider, patch, id=key, by=by), patch, by, stored=False)
        return await self._kept(await self._credentials.create_from(provider, patch, id=key, by=by), checked, by)

    async def update(
        self, id: CredentialId, patch: CredentialPatch, *, if_match: int | None = None, by: Caller = IN_PROCESS
    ) -> Listed:
        """As `Credentials.update`. Raises NotProvenError besides, and what was stored stays then.

        PreconditionFailedError also where the credential was changed while its provider was asked.
        """
        draft = await self._credentials.changed(id, patch, by=by)
        checked = await self._checked(draft, patch, by, stored=True)
        expected = draft.version - 1 if if_match is None else if_match
        return await self._kept(await self._credentials.update(id, patch, if_match=expected, by=by), checked, by)

    async def _checked(self, draft: Credential, patch: CredentialPatch, by: Caller, *, stored: bool) -> Checked:
        checked = await self._probing.checked(draft)
        if not checked.report.success:
            await self._probing.note(draft, checked, by=by)
            sent = [name for name, secret in patch.secrets.items() if secret is not None]
            raise NotProvenError(checked.report.message, sent, stored=stored)
        return checked

    async def _kept(self, listed: Listed, checked: Checked, by: Caller) -> Listed:
        """The credential with the check it passed."""
        await self._probing.keep(listed.credential, checked, by=by)
        found = await self._credentials.get(listed.credential.id, workspace=by.workspace)
        return replace(found, healed=listed.healed)
