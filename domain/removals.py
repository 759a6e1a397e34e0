"""Which changes take something away, so that nobody may go on with what was so before."""

from collections.abc import Iterable

from keycairn.domain.change import (
    Change,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    Discard,
    PutDefaults,
    PutToken,
    RelinkModels,
    ReplaceCredential,
    ReplaceModel,
)
from keycairn.domain.draft import Draft
from keycairn.domain.ids import key_of
from keycairn.domain.record import NAMES
from keycairn.domain.token import Token

_ALWAYS = ReplaceCredential | DeleteCredential | ReplaceModel | DeleteModel | RelinkModels | DeleteModelsOf | Discard


def takes_away(draft: Draft, changes: Iterable[Change]) -> bool:
    """Whether something worked before `changes`, worked out in `draft`, that must not be used after them.

    What is added takes nothing away, nor do sealing anew, marks, proofs, and removing a token that works no longer.
    """
    for change in changes:
        match change:
            case PutToken(token=token) if draft.before((NAMES[Token], key_of(token.id))) is None:
                continue
            case PutDefaults(expected=0):
                continue
            case PutToken() | PutDefaults():
                return True
            case _ if isinstance(change, _ALWAYS):
                return True
    return False
