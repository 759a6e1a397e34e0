"""What refers to what: no model to a credential that is not there, no default to a model that is not."""

from collections.abc import Container, Iterator

from keycairn.domain.credential import Credential
from keycairn.domain.errors import StaleVersionError
from keycairn.domain.ids import CredentialId, ModelId, key_of
from keycairn.domain.model import Defaults, Model
from keycairn.domain.overlay import Overlay
from keycairn.domain.state import Key


def check_references(overlay: Overlay, discarded: Container[Key]) -> Iterator[None]:
    """Look at what a changeset would leave behind, once it is worked out; a step for each record.

    No model may come to be linked to a credential that is not there, no default to name a model that is not.
    Raises StaleVersionError: what was planned on has changed. What was so before stays for a repair; `discarded` are
    the records that one removes whatever refers to them.
    """
    for (kind, key), image in overlay.images.items():
        before = overlay.before((kind, key))
        match image or before:
            case _ if (kind, key) in discarded:
                pass
            case Credential(id=id) if image is None:
                for model_id in overlay.linked_before(id):
                    _expect(not _links(overlay, model_id, id))
                    yield
            case Model(workspace=workspace, credential=str() as link) if image is not None:
                same = isinstance(before, Model) and before.credential == link
                _expect(same or overlay.credential(workspace, CredentialId(link)) is not None)
            case Model(workspace=workspace, id=model_id) if image is None:
                defaults = overlay.get(Defaults, workspace)
                _expect(defaults is None or model_id not in defaults.slots.values())
            case Defaults(workspace=workspace, slots=slots) if image is not None:
                former = set(before.slots.values()) if isinstance(before, Defaults) else set()
                _expect(all(overlay.model(workspace, id) for id in set(slots.values()) - former))
            case _:
                pass
        yield


def _links(overlay: Overlay, model: ModelId, credential: CredentialId) -> bool:
    found = overlay.get(Model, key_of(model))
    return found is not None and found.credential == credential


def _expect(holds: bool) -> None:  # noqa: FBT001  # what is expected to hold
    if not holds:
        raise StaleVersionError
