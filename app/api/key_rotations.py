"""Rotating the keys of credentials at their providers, over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from litestar import Controller, delete, get, post, put
from litestar.params import JSONBody
from msgspec import UNSET, Struct, UnsetType

from keycairn.app.services.key_rotations import Shown
from keycairn.app.web.auth import READ_CREDENTIAL, READ_CREDENTIALS, WRITE_CREDENTIAL, reaches
from keycairn.app.web.inputs import PathText, TheCaller, TheKeycairn
from keycairn.domain.errors import CredentialNotFoundError, InvalidInputError
from keycairn.domain.field import SettingValue
from keycairn.domain.ids import credential_id
from keycairn.domain.key_rotation.record import Policy
from keycairn.domain.secret import Secret


class SetKeyRotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a credential's key is rotated. What is absent stays as it is.

    `every_days` after the key was made, or `at` a time, once; null for neither. `overlap_hours` is how long the former
    key goes on to work. `settings` and `secrets` are what the provider asks for to manage keys, under the names that
    `GET /api/providers` tells; null clears one. `like` takes them from another credential of the provider. `key_id`
    says which key at the provider is the one in use, where its list does not tell.
    """

    every_days: int | UnsetType | None = UNSET
    at: datetime | UnsetType | None = UNSET
    overlap_hours: float | UnsetType = UNSET
    warn_days: int | UnsetType = UNSET
    settings: dict[str, SettingValue | None] = {}
    secrets: dict[str, Secret | None] = {}
    like: str | None = None
    key_id: str | None = None

    def policy(self, before: Policy) -> Policy:
        """The policy, where `before` was the one of before."""
        return Policy(
            every_days=before.every_days if self.every_days is UNSET else self.every_days,
            at=before.at if self.at is UNSET else self.at,
            overlap_hours=before.overlap_hours if self.overlap_hours is UNSET else self.overlap_hours,
            warn_days=before.warn_days if self.warn_days is UNSET else self.warn_days,
        )


class LeakedKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`may_close`: whether the account may be closed for calls where the key cannot be replaced at once."""

    may_close: bool


class RunView(Struct, frozen=True, kw_only=True):
    """A rotation under way. `waits_for_person` says what a person has to do, `trouble` what went wrong last."""

    id: str
    step: str
    reason: str
    started: datetime
    since: datetime
    next: datetime
    old_key_id: str
    new_key_id: str
    waits_for_person: str
    trouble: str


class LastRunView(Struct, frozen=True, kw_only=True):
    """How the last rotation ended."""

    outcome: str
    at: datetime
    why: str


class KeyRotationView(Struct, frozen=True, kw_only=True):
    """The rotation of a credential's key. Never a key: `key_id` is what the provider calls it.

    `automatic`: keys are made without a person; else `page` is where one makes them. `due` is when the policy has it
    rotated, `expires` when the provider ends the key, where it told.
    """

    credential: str
    provider: str
    automatic: bool
    page: str
    every_days: int | None
    at: datetime | None
    overlap_hours: float
    warn_days: int
    settings: dict[str, Any]
    has_secrets: dict[str, bool]
    key_id: str
    key_made: datetime | None
    key_age_days: float | None
    expires: datetime | None
    due: datetime | None
    warning: str
    run: RunView | None
    last: LastRunView | None


def key_rotation_view(shown: Shown) -> KeyRotationView:
    """The view of a rotation."""
    one, run, last = shown.rotation, shown.rotation.run, shown.rotation.last
    declared = [field.name for field in shown.management.fields if field.secret]
    return KeyRotationView(
        credential=one.credential,
        provider=one.provider,
        automatic=shown.automatic,
        page=shown.management.page,
        every_days=one.policy.every_days,
        at=one.policy.at,
        overlap_hours=one.policy.overlap_hours,
        warn_days=one.policy.warn_days,
        settings=dict(one.settings),
        has_secrets={name: name in one.sealed for name in declared},
        key_id=one.key_id,
        key_made=one.made,
        key_age_days=shown.age_days,
        expires=one.expires,
        due=shown.due,
        warning=shown.warning,
        run=None
        if run is None
        else RunView(
            id=run.id,
            step=run.step,
            reason=run.reason,
            started=run.started,
            since=run.since,
            next=run.due,
            old_key_id=run.old_id,
            new_key_id=run.new_id,
            waits_for_person=run.held,
            trouble=run.trouble,
        ),
        last=None if last is None else LastRunView(outcome=last.outcome, at=last.at, why=last.why),
    )


class KeyRotationController(Controller):
    """Keys that rotate themselves: policies, and what is asked for."""

    path = "/api"
    tags: Sequence[str] | None = ("Key rotation",)

    @get(
        "/key-rotations", opt=READ_CREDENTIALS, operation_id="list_key_rotations", summary="List the rotations of keys"
    )
    async def listing(self, keycairn: TheKeycairn, caller: TheCaller) -> list[KeyRotationView]:
        """Of every credential that has one, with the ages of their keys, and what is to be warned of."""
        found = await keycairn.key_rotations.listed(workspace=caller.workspace)
        within = [one for one in found if caller.reach.holds(one.rotation.provider, one.rotation.credential)]
        return [key_rotation_view(one) for one in within]

    @get(
        "/credentials/{id:str}/key-rotation",
        opt=READ_CREDENTIAL,
        operation_id="get_key_rotation",
        summary="Get how a credential's key is rotated",
    )
    async def read(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> KeyRotationView:
        """The policy, the age of the key, and how far a rotation is."""
        return key_rotation_view(await keycairn.key_rotations.get(credential_id(id), workspace=caller.workspace))

    @put(
        "/credentials/{id:str}/key-rotation",
        opt=WRITE_CREDENTIAL,
        operation_id="update_key_rotation",
        summary="Set how a credential's key is rotated",
    )
    async def set_up(
        self, keycairn: TheKeycairn, caller: TheCaller, id: PathText, data: JSONBody[SetKeyRotation]
    ) -> KeyRotationView:
        """The secrets are sealed, sent to the host that manages keys and nowhere else, and used for nothing else."""
        if data == SetKeyRotation():
            raise InvalidInputError("Say what to set: nothing of it is given.")
        key = credential_id(id)
        like = None if data.like is None else credential_id(data.like)
        if like is not None and not await reaches(keycairn, caller, like):
            raise CredentialNotFoundError
        before = await keycairn.key_rotations.policy(key, workspace=caller.workspace)
        done = await keycairn.key_rotations.set_up(
            key,
            policy=data.policy(before),
            settings=data.settings,
            secrets=data.secrets,
            like=like,
            key_id=data.key_id,
            by=caller,
        )
        return key_rotation_view(done)

    @delete(
        "/credentials/{id:str}/key-rotation",
        opt=WRITE_CREDENTIAL,
        status_code=200,
        operation_id="delete_key_rotation",
        summary="Rotate a credential's key no more",
    )
    async def remove(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> KeyRotationView:
        """Forgets the policy and the secrets that manage keys. The key stays as it is. Answers what is forgotten."""
        return key_rotation_view(await keycairn.key_rotations.remove(credential_id(id), by=caller))

    @post(
        "/credentials/{id:str}/key-rotation/rotate",
        opt=WRITE_CREDENTIAL,
        status_code=202,
        operation_id="rotate_key",
        summary="Rotate a key now",
    )
    async def rotate(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> KeyRotationView:
        """Goes on by itself: a new key, a proof, the switch, an overlap, the revocation."""
        return key_rotation_view(await keycairn.key_rotations.rotate(credential_id(id), by=caller))

    @post(
        "/credentials/{id:str}/key-rotation/leaked",
        opt=WRITE_CREDENTIAL,
        status_code=202,
        operation_id="rotate_leaked_key",
        summary="Replace a leaked key",
    )
    async def leaked(
        self, keycairn: TheKeycairn, caller: TheCaller, id: PathText, data: JSONBody[LeakedKey]
    ) -> KeyRotationView:
        """A new key, the switch, and the former one revoked at once.

        Where the provider cannot, the account is closed for calls until a new key is stored with the credential.
        """
        done = await keycairn.key_rotations.leaked(credential_id(id), may_close=data.may_close, by=caller)
        return key_rotation_view(done)

    @post(
        "/credentials/{id:str}/key-rotation/resume",
        opt=WRITE_CREDENTIAL,
        status_code=202,
        operation_id="resume_key_rotation",
        summary="Go on with a rotation",
    )
    async def resume(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> KeyRotationView:
        """After a person did what it waited for."""
        return key_rotation_view(await keycairn.key_rotations.resume(credential_id(id), by=caller))

    @post(
        "/credentials/{id:str}/key-rotation/cancel",
        opt=WRITE_CREDENTIAL,
        status_code=202,
        operation_id="cancel_key_rotation",
        summary="Call a rotation off",
    )
    async def cancel(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> KeyRotationView:
        """Before the switch, or while it waits for a person. What was made at the provider is removed first.

        A policy begins nothing for a day. An account that a leak closed stays closed until a key is stored with it.
        """
        return key_rotation_view(await keycairn.key_rotations.cancel(credential_id(id), by=caller))
