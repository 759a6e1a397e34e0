"""What a look at all records saw, said as findings: what is wrong, and what to do about it."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct

from keycairn.app.services.audit import Flaw, FlawKind
from keycairn.app.services.key_rotations import Shown
from keycairn.domain.credential import Credential
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.model import Defaults, Model
from keycairn.domain.sealed import kid_of

_SEND_AGAIN = "Send its key again (keycairn credential set-key); its models work at once. Or delete it."
FIX = "keycairn doctor --fix"
_SHOWN = 5
"""Models that are named; their number is told of all."""
_REFUSED = (
    "It works for nobody. Compare with your backups; then remove it (keycairn doctor --discard {0}), and make it anew. "
    "To take records put back from an older state for what they are: keycairn doctor --accept-database, with the "
    "service stopped."
)
_GONE = "Somebody else removed it. Compare with your backups, and make it anew."


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was found. `code` is stable.

    `what_to_do` is "" when all is well, `broken` says whether it must be mended, `fixable` whether `--fix` does it
    safely. `records` are the ids it is about, `key` the data key of secrets that do not open.
    """

    code: str
    subject: str
    found: str
    what_to_do: str = ""
    broken: bool = False
    fixable: bool = False
    key: int | None = None
    records: tuple[str, ...] = ()


class Survey:
    """What one pass over all records saw of their links and secrets."""

    def __init__(self, refused: Collection[str] = ()) -> None:
        self.refused = refused
        """The records that are there and no read gives, by kind and key: what is linked to them is not loose."""
        self.credentials: dict[CredentialId, str] = {}
        """Their workspaces."""
        self.models: dict[ModelId, str] = {}
        self.dangling: list[Model] = []
        self.unlinked: list[Model] = []
        self.missing: list[Model] = []
        self.defaults: list[tuple[Defaults, frozenset[ModelId]]] = []
        """Those that point to models that are not there, and these."""
        self.unmarked: list[Credential] = []
        """Those whose marks do not say what was found."""
        self.broken: list[tuple[Credential, Mapping[str, str]]] = []
        self.strangers: list[Credential] = []
        """Those of providers that no plugin supplies."""
        self.retired: list[Credential] = []
        """Those that need a retired key."""
        self.failed: list[Credential] = []
        """Those whose last test failed."""

    def see(self, record: Model | Defaults) -> None:
        """Take a model, after all credentials; or defaults, after all models."""
        if isinstance(record, Defaults):
            gone = {
                model
                for model in record.slots.values()
                if self.models.get(model) != record.workspace and model not in self.refused
            }
            if gone:
                self.defaults.append((record, frozenset(gone)))
            return
        self.models[record.id] = record.workspace
        if record.credential is None:
            self.unlinked.append(record)
        elif record.credential not in self.refused and self.credentials.get(record.credential) != record.workspace:
            self.dangling.append(record)
        if record.missing_since is not None:
            self.missing.append(record)


_HELD_BACK = "Have those store keys of their own. Then it is revoked by itself, within the hour or when it is resumed."


def of_rotations(rotations: Sequence[Shown]) -> Iterator[Finding]:
    """The keys that a person should see to: old ones, those that end soon, rotations that failed or wait."""
    for shown in rotations:
        if shown.warning:
            one = shown.rotation
            used_by = one.run.used_by if one.run else ()
            yield Finding(
                code="key_held_back" if used_by else "key_rotation",
                subject=f"key of credential {one.credential} ({one.provider})",
                found=f"{shown.warning} Used by: {', '.join(used_by)}." if used_by else shown.warning,
                what_to_do=_HELD_BACK if used_by else f"Look at it: keycairn credential rotation {one.credential}",
                records=(one.credential, *(name.partition("/")[2] for name in used_by)),
            )


def of_secrets(survey: Survey) -> Iterator[Finding]:
    """What is wrong with secrets: those that do not open, need a retired key, or are of an unknown provider."""
    by_key: dict[int | None, list[str]] = defaultdict(list)
    for credential, broken in survey.broken:
        kid = next((kid_of(credential.sealed[name]) for name in sorted(broken) if name in credential.sealed), None)
        by_key[kid].append(credential.id)
        yield Finding(
            code="secret_unreadable",
            subject=f"credential {credential.name} ({credential.provider}, {credential.id})",
            found="its secret does not open: " + "; ".join(f"{name}: {why}" for name, why in sorted(broken.items())),
            what_to_do=_SEND_AGAIN,
            broken=True,
            key=kid,
            records=(credential.id,),
        )
    for kid, ids in sorted(by_key.items(), key=lambda entry: entry[0] or 0):
        yield Finding(
            code="key_unreadable",
            subject=f"data key {kid}" if kid is not None else "damaged secrets",
            found=f"credentials whose secrets do not open: {len(ids)}",
            what_to_do="A backup from before may have them. Else send each key again.",
            key=kid,
            records=tuple(ids),
        )
    if survey.unmarked:
        yield Finding(
            code="marks_stale",
            subject="notes of what does not open",
            found=f"not up to date: {len(survey.unmarked)}",
            what_to_do=FIX,
            fixable=True,
            records=tuple(credential.id for credential in survey.unmarked),
        )
    if survey.retired:
        yield Finding(
            code="key_retired",
            subject="retired data keys",
            found=f"credentials whose secrets still need one: {len(survey.retired)}",
            what_to_do=f"{FIX} seals them anew; so does their next use.",
            fixable=True,
            records=tuple(credential.id for credential in survey.retired),
        )
    for credential in survey.strangers:
        yield Finding(
            code="provider_unknown",
            subject=f"credential {credential.name} ({credential.provider}, {credential.id})",
            found="no loaded plugin supplies its provider",
            what_to_do="Install the plugin again, or delete the credential.",
            broken=True,
            records=(credential.id,),
        )


def of_links(survey: Survey) -> Iterator[Finding]:
    """What is wrong with links, from models to credentials and from defaults to models."""
    for model in survey.dangling:
        yield Finding(
            code="link_dangling",
            subject=f"model {model.name} ({model.id})",
            found="its credential is gone",
            what_to_do=f"{FIX} keeps it without a credential. Or delete it and register it again.",
            broken=True,
            fixable=True,
            records=(model.id,),
        )
    for defaults, gone in survey.defaults:
        for slot, model_id in defaults.slots.items():
            if model_id in gone:
                yield Finding(
                    code="default_dangling",
                    subject=slot,
                    found="its model is gone",
                    what_to_do=f"{FIX} clears it. Or choose another: keycairn default set SLOT MODEL",
                    broken=True,
                    fixable=True,
                    records=(model_id,),
                )
    if survey.unlinked:
        yield _of_models("models_unlinked", "without a credential", "Register them with one.", survey.unlinked)
    if survey.missing:
        yield _of_models("models_missing", "no longer offered", "Delete them when unused.", survey.missing)
    if not (survey.dangling or survey.defaults or survey.unlinked or survey.missing):
        found = f"credentials: {len(survey.credentials)}; models: {len(survey.models)}; all linked"
        yield Finding(code="records", subject="records", found=found)


def _of_models(code: str, what: str, what_to_do: str, models: list[Model]) -> Finding:
    names = ", ".join(model.name for model in models[:_SHOWN]) + (", ..." if len(models) > _SHOWN else "")
    ids = tuple(model.id for model in models)
    return Finding(code=code, subject="models", found=f"{what}: {names}", what_to_do=what_to_do, records=ids)


def of_flaw(flaw: Flaw) -> Finding:
    """What is wrong with the chain of audit events, or with a record that it proves."""
    if flaw.record:
        return Finding(
            code=f"record_{flaw.kind}",
            subject=f"record {flaw.record}",
            found=flaw.detail,
            what_to_do=_GONE if flaw.kind is FlawKind.REMOVED else _REFUSED.format(flaw.record),
            broken=True,
            records=(flaw.record,),
        )
    return Finding(
        code=f"audit_{flaw.kind}",
        subject="audit log",
        found=flaw.detail,
        what_to_do="Compare with your backups: `zcat FILE` shows what one holds.",
        # what was lost once is on record for good, and nothing can be mended about it any more
        broken=flaw.kind not in {FlawKind.LOST, FlawKind.UNPROVEN},
    )
