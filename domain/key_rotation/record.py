"""How the key of a credential is rotated: the policy, what it needs, and how far a rotation is."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.errors import InvalidIdError, InvalidInputError
from keycairn.domain.field import SettingValue
from keycairn.domain.ids import CredentialId, credential_id, key_of
from keycairn.domain.reach import Reach
from keycairn.domain.sealed import SealedSecret

KeyRotationId = NewType("KeyRotationId", str)
Target = tuple[tuple[str, str], ...]
"""What decides where an account's calls go, by name; see `keycairn.domain.key_rotation.binding`."""
TABLE = "key_rotation"
LONGEST_OVERLAP = 24 * 365
"""Hours."""
MOST_DAYS = 3650
NEW, OLD = "new.", "old."
"""What the names of the key's secrets begin with while a rotation keeps them: the new ones, and the former ones."""


class Policy(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """When a key is rotated, and how long the former one goes on to work.

    `every_days` after it was made; or `at` a time, once. Neither: when somebody asks. `overlap_hours` is the time
    between the switch and the revocation. `warn_days` before its provider ends it, or before a person has to make
    another, it is warned of.
    """

    every_days: int | None = None
    at: datetime | None = None
    overlap_hours: float = 24.0
    warn_days: int = 7


class RotationStep(StrEnum):
    """How far a rotation is. Each is stored before what it stands for is done."""

    PLANNED = "planned"
    AWAITING = "awaiting"
    """A person has to make the new key and store it with the credential."""
    CREATING = "creating"
    """The provider is asked for a key, or was when the process ended: whether there is one is not known."""
    CREATED = "created"
    """The new key is sealed here, and is being proven."""
    PROVEN = "proven"
    SWITCHED = "switched"
    """The credentials have the new key."""
    OVERLAP = "overlap"
    """Both keys work."""
    REVOKING = "revoking"
    REVOKED = "revoked"
    """The provider says that the former key is revoked; that is being proven."""
    CLEANING = "cleaning"
    """It failed before the switch: what it made at the provider is being removed."""


BEFORE_SWITCH = frozenset(
    {RotationStep.PLANNED, RotationStep.AWAITING, RotationStep.CREATING, RotationStep.CREATED, RotationStep.PROVEN}
)


class Reason(StrEnum):
    """Why a rotation began."""

    POLICY = "policy"
    ASKED = "asked"
    LEAKED = "leaked"
    """The former key is revoked at once."""


class RotationOutcome(StrEnum):
    """How a rotation ended."""

    DONE = "done"
    FAILED = "failed"
    REPLACED = "replaced"
    """Somebody stored another key meanwhile."""
    CANCELLED = "cancelled"
    """Somebody called it off."""


class Run(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rotation under way.

    `id` is in the tags of the keys it makes. `due` is when it goes on. `tries` counts the creations that were begun,
    `attempt` the failures of this step, `looks` and `proofs` what has to be seen several times in a row. `listed` are
    the ids of the keys there were when a creation was begun. `maker` asks the provider until `made_by`.
    `held` says why it waits for a person, `trouble` what went wrong last.
    """

    id: str
    step: RotationStep
    reason: Reason
    started: datetime
    since: datetime
    due: datetime
    fingerprint: str
    """Of the key that is replaced."""
    new_fingerprint: str = ""
    destinations: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """Where each secret of the key may go, as it was when it was sealed here."""
    bound: Target | None = None
    """Where the account led then; None in what a former version began."""
    key_origins: tuple[str, ...] = ()
    """Where the former and the new key may be sent to when keys are managed."""
    old_id: str = ""
    new_id: str = ""
    new_settings: Mapping[str, SettingValue] = {}
    expires: datetime | None = None
    listed: tuple[str, ...] = ()
    tries: int = 0
    attempt: int = 0
    looks: int = 0
    proofs: int = 0
    maker: str = ""
    made_by: datetime | None = None
    held: str = ""
    trouble: str = ""
    ends_as: RotationOutcome = RotationOutcome.FAILED
    why: str = ""
    """Why it is cleaned up."""
    closes: bool = False
    """Whether the accounts are closed for calls where the key cannot be replaced."""
    unsure: bool = False
    """Whether it is cleaned up while nobody knows what became of a creation."""
    revoked_early: bool = False
    """Whether the provider revoked a leaked key before there was another."""
    used_by: tuple[str, ...] = ()
    """`workspace/credential` of those elsewhere for whom the former key is held back; for the installation only."""
    again: bool = False
    """Whether the key in use leaked too, so that another rotation follows."""

    @property
    def tags(self) -> str:
        """What the tags of its keys begin with."""
        return f"keycairn-{self.id.lower()}-"

    @property
    def tag(self) -> str:
        """The tag of the key it makes now."""
        return f"{self.tags}{self.tries}"


class LastRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the last rotation ended."""

    id: str
    outcome: RotationOutcome
    at: datetime
    why: str = ""


class KeyRotation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rotation of one credential's key.

    `settings` and `sealed` are what the provider's `KeyManagement` asks for; while a rotation is under way, `sealed`
    also keeps the new and the former key. `key_id`, `made` and `expires` are of the key in use, whose fingerprint is
    `fingerprint`. `proof` is the MAC of all the rest.
    """

    id: KeyRotationId
    workspace: str
    provider: str
    credential: CredentialId
    policy: Policy = Policy()
    settings: Mapping[str, SettingValue] = {}
    sealed: Mapping[str, SealedSecret] = {}
    fingerprint: str = ""
    key_id: str = ""
    made: datetime | None = None
    expires: datetime | None = None
    run: Run | None = None
    last: LastRun | None = None
    retry: datetime | None = None
    """Before which the policy begins nothing: a rotation failed, or was called off, a moment ago."""
    leaked: bool = False
    """Whether the key in use leaked while a rotation was under way: one because of that begins next."""
    closes: bool = False
    """Whether that one may close the accounts; see `Run.closes`."""
    looked: datetime | None = None
    """When the key in use was last looked for in the provider's list."""
    trouble: str = ""
    """Why the list could not be read then, where that does not pass by itself."""
    bound: Target | None = None
    """Where the account led when what manages keys was given: its new keys are for there. None: of a former version."""
    confirmed: tuple[str, ...] = ()
    """Origins that manage keys, and that the key in use was given for beside those that it is for anyway."""
    reach: Reach | None = None
    """Of whoever gave what manages keys, where it was bounded: credentials out of it are not taken along."""
    restored: bool = False
    """Whether it came with a backup: it rests, since the installation that was backed up may use the same keys."""
    created: datetime
    updated: datetime
    version: int = 1
    proof: str = ""

    def takes_along(self, provider: str, credential: CredentialId) -> bool:
        """Whether a credential that holds the same key is within reach of whoever set this up."""
        return credential == self.credential or self.reach is None or self.reach.holds(provider, credential)

    def due(self) -> datetime | None:
        """When the policy has its key rotated."""
        times = [self.policy.at] if self.policy.at is not None else []
        if self.policy.every_days is not None and self.made is not None:
            times.append(self.made + timedelta(days=self.policy.every_days))
        first = min(times, default=None)
        return first if first is None or self.retry is None else max(first, self.retry)


def rotation_id(credential: CredentialId) -> KeyRotationId:
    """The id of the rotation of a credential's key."""
    return KeyRotationId(f"{TABLE}:{key_of(credential)}")


def key_rotation_id(text: str) -> KeyRotationId:
    """`text` as the id of a rotation; raises InvalidIdError."""
    prefix, _, key = text.partition(":")
    if prefix != TABLE:
        raise InvalidIdError(TABLE)
    credential_id(f"credential:{key}")
    return KeyRotationId(text)


def checked_policy(policy: Policy) -> Policy:
    """`policy`; raises InvalidInputError for one that nobody can mean."""
    wrong: dict[str, str] = {}
    if policy.every_days is not None and not 1 <= policy.every_days <= MOST_DAYS:
        wrong["every_days"] = f"must be from 1 to {MOST_DAYS}"
    if not 0 <= policy.overlap_hours <= LONGEST_OVERLAP:
        wrong["overlap_hours"] = f"must be from 0 to {LONGEST_OVERLAP}"
    if not 0 <= policy.warn_days <= MOST_DAYS:
        wrong["warn_days"] = f"must be from 0 to {MOST_DAYS}"
    if policy.at is not None and policy.at.tzinfo is None:
        wrong["at"] = "needs a time zone"
    if wrong:
        said = "; ".join(f"{name} {why}" for name, why in wrong.items())
        raise InvalidInputError(f"This policy cannot be followed: {said}.", wrong)
    return policy


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(KeyRotation)


def rotation_text(rotation: KeyRotation) -> str:
    """All a rotation says, its proof apart, as JSON. What has its default is left out, so that older proofs hold."""
    return _encoder.encode(replace(rotation, proof="")).decode()


def rotation_of(text: str, proof: str) -> KeyRotation:
    """The rotation in such a text. Raises msgspec.MsgspecError."""
    return replace(_decoder.decode(text), proof=proof)
