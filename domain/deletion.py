"""Deleting a credential: what becomes of its models and of the defaults, worked out before anything is written."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.change import (
    Change,
    Changeset,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    ExpectCredential,
    PutDefaults,
    RelinkModels,
)
from keycairn.domain.credential import Credential
from keycairn.domain.errors import InvalidMigrationTargetError
from keycairn.domain.ids import ModelId
from keycairn.domain.model import Defaults, Model, Slot
from keycairn.domain.pools import joined
from keycairn.domain.token import Token

NO_TARGET = "There is no such credential to move the models to."


class Deletion(Struct, frozen=True, kw_only=True):
    """The impact of a deletion, and the changes that bring it about.

    `moved` models go to the target. `merged` ones are dropped in favour of the same model the target already has.
    `deleted` ones go with the credential. `cleared` slots lose their model, `redirected` ones follow a merged model.
    `followed` tokens, as they become, reach the target in place of the credential; `stranded` ones reach no credential
    any more.
    """

    moved: tuple[Model, ...] = ()
    merged: tuple[Model, ...] = ()
    deleted: tuple[Model, ...] = ()
    cleared: tuple[Slot, ...] = ()
    redirected: tuple[Slot, ...] = ()
    followed: tuple[Token, ...] = ()
    stranded: tuple[Token, ...] = ()
    changes: Changeset = ()


def check_target(credential: Credential, target: Credential | None) -> Credential:
    """`target`, where models of `credential` can move to it; else InvalidMigrationTargetError."""
    if target is None:
        raise InvalidMigrationTargetError(NO_TARGET)
    if target.id == credential.id:
        raise InvalidMigrationTargetError("A credential cannot take over its own models.")
    if target.provider != credential.provider:
        raise InvalidMigrationTargetError(
            f"The models are {credential.provider} models; the target is a {target.provider} credential."
        )
    return target


def plan_deletion(credential: Credential, models: Sequence[Model], defaults: Defaults) -> Deletion:
    """Delete `credential` with its `models`, and clear the slots they hold.

    The changes also hold for a model that is registered, or made a default, between reading and committing.
    """
    kept = defaults.without({model.id for model in models})
    cleared = tuple(slot for slot in defaults.slots if slot not in kept.slots)
    changes = (_delete(credential), DeleteModelsOf(credential.workspace, credential.id), _put(kept))
    return Deletion(deleted=tuple(models), cleared=cleared, changes=changes)


def plan_move(
    credential: Credential,
    models: Sequence[Model],
    target: Credential,
    target_models: Sequence[Model],
    defaults: Defaults,
) -> Deletion:
    """Delete `credential` and hand its `models` to `target`, which keeps its own where both have the same.

    Raises InvalidMigrationTargetError.
    """
    check_target(credential, target)
    owned = {model.offer: model.id for model in target_models}
    successors: dict[ModelId, ModelId] = {model.id: owned[model.offer] for model in models if model.offer in owned}
    redirected = defaults.without(set(successors), successors)
    changes: list[Change] = [ExpectCredential(target.workspace, target.id), _delete(credential)]
    changes += [DeleteModel(credential.workspace, model) for model in successors]
    pooled = {successors[model.id] for model in models if model.pooled and model.id in successors}
    changes += [joined(model) for model in target_models if model.id in pooled and not model.pooled]
    changes.append(RelinkModels(credential.workspace, credential.id, target.id))
    changes.append(_put(redirected))
    return Deletion(
        moved=tuple(model for model in models if model.id not in successors),
        merged=tuple(model for model in models if model.id in successors),
        redirected=tuple(slot for slot, model in defaults.slots.items() if model in successors),
        changes=tuple(changes),
    )


def _delete(credential: Credential) -> Change:
    return DeleteCredential(credential.workspace, credential.id, credential.version)


def _put(defaults: Defaults) -> Change:
    """Stored even when no slot changed, so that what was planned on other links or defaults then conflicts.

    Such as a default assigned meanwhile to a model that goes away, or the deletion of an account into which the model
    of a default has moved meanwhile.
    """
    return PutDefaults(replace(defaults, version=defaults.version + 1), expected=defaults.version)
