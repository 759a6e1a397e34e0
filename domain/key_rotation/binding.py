"""What a rotation is bound to: where its new keys may be used, and which hosts may see the account's own key."""

from collections.abc import Collection, Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from keycairn.domain.credential import Credential, destinations
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.field import FieldKind
from keycairn.domain.key_management import KeyManagement
from keycairn.domain.key_rotation.record import KeyRotation, Target
from keycairn.domain.key_rotation.sealing import allowed_origins
from keycairn.domain.options import steering_headers
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.url import origin_of

MOVED = (
    "The account leads elsewhere than when this rotation was set up, so no new key is made for it. "
    "Set the rotation up again, with the secrets that manage keys."
)
UNBOUND = (
    "The URL that manages keys is at a host that the account's key was not given for. "
    "Set that URL again, with the account's key as a secret beside it."
)


def target(spec: ProviderSpec, credential: Credential) -> Target:
    """Everything that decides where calls with the credential's key go: hosts, authorities, headers that steer.

    A setting that says what the provider's default says is left out. Raises UrlRefusedError.
    """
    usual = dict(destinations(spec, {one.name: one.default for one in spec.settings if one.default is not None}))
    placed = destinations(spec, spec.renamed(credential.settings))
    found = [(name, place) for name, place in placed if usual.get(name) != place]
    options = credential.options
    if options.ca_certificates:
        found.append(("options.ca_certificates", sha256(options.ca_certificates.encode()).hexdigest()))
    found += [(f"options.headers.{name}", value) for name, value in steering_headers(options.headers).items()]
    return tuple(sorted(found))


def is_home(rotation: KeyRotation, now: Target) -> bool:
    """Whether the account, which leads to `now`, is where the rotation was set up for, and begun at."""
    run = rotation.run
    return rotation.bound in {None, now} and (run is None or run.bound in {None, now})


def check_home(rotation: KeyRotation, now: Target) -> None:
    """Raise InvalidInputError for an account that leads elsewhere by now."""
    if not is_home(rotation, now):
        raise InvalidInputError(MOVED)


def key_origins(
    spec: ProviderSpec, management: KeyManagement, settings: Mapping[str, object], confirmed: Collection[str] = ()
) -> frozenset[str]:
    """The origins that the account's own key may be sent to when keys are managed.

    The account's own URLs; the provider's that manage keys, where the account is at none but the provider's; and those
    for which the key was given (`confirmed`). `settings` are the effective ones of both. Raises UrlRefusedError.
    """
    manages = allowed_origins(management, settings)
    urls = [str(settings.get(one.name) or "") for one in spec.settings if one.kind is FieldKind.URL]
    own = frozenset(origin_of(url) for url in urls if url)
    if all(spec.owns(_host(one)) for one in own):
        own |= {one for one in manages if spec.owns(_host(one))}
    return own | (manages & frozenset(confirmed))


def strange_origins(
    spec: ProviderSpec, management: KeyManagement, settings: Mapping[str, object], confirmed: Collection[str] = ()
) -> frozenset[str]:
    """The origins that manage keys and may not even be told whether a key is the account's.

    What a server lists is compared with the key, and the outcome is shown, so that a server of somebody's choice could
    ask for it letter by letter. The provider's own, which the declaration names, may be told. Raises UrlRefusedError.
    """
    known = key_origins(spec, management, settings, confirmed) | _usual(management)
    return allowed_origins(management, settings) - known


def is_providers(spec: ProviderSpec, management: KeyManagement, origin: str) -> bool:
    """Whether an origin that manages keys is the provider's own, by its hosts or by what it declares."""
    return spec.owns(_host(origin)) or origin in _usual(management)


def _usual(management: KeyManagement) -> frozenset[str]:
    return allowed_origins(management, {one.name: one.default for one in management.fields})


def _host(origin: str) -> str:
    return urlsplit(origin).hostname or ""
