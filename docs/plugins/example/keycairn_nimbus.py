"""Nimbus for Keycairn. Its API is made up, to show what a provider with an API of its own has to say."""

from collections.abc import Mapping
from urllib.parse import urlencode

from msgspec import Struct

from keycairn.domain.errors import InvalidInputError
from keycairn.plugins import (
    Account,
    ConnectionReport,
    DiscoveredModel,
    FieldSpec,
    Http,
    ListedProvider,
    Modality,
    Outcome,
    Provider,
    ProviderSpec,
    Request,
    Secret,
    api_key,
    decode,
    hookimpl,
    own_url,
    required_header_secret,
    url_field,
)

URL = "https://{region}.nimbus.example/v2"
REGIONS = ("eu", "us", "ap")
KINDS = {"writer": Modality.LANGUAGE, "mapper": Modality.EMBEDDING}
"""What Nimbus calls the kinds of models. It has others, which are listed without a type."""
MOST_PAGES = 20


class _Model(Struct):
    name: str
    kind: str


class _Page(Struct):
    models: list[_Model]
    next: str | None = None


class _Owner(Struct):
    owner: str


class _Written(Struct):
    text: str


class _Mapped(Struct):
    vector: list[float]


class Nimbus(ListedProvider):
    """A list in pages, a header of its own, a host for each region."""

    def base_url(self, account: Account, type: Modality | None = None) -> str:
        """The account's own URL, else the host of its region: a known one, as it says where the key goes."""
        region = account.text("region")
        if region not in REGIONS:
            raise InvalidInputError("Nimbus has no such region.", {"region": f"one of {', '.join(REGIONS)}"})
        return own_url(account, "base_url") or URL.format(region=region)

    def headers(self, account: Account, type: Modality | None = None) -> Mapping[str, str | Secret]:
        """The key. `required_header_secret` refuses one that no header can carry, before anything is sent."""
        return {"X-Nimbus-Key": required_header_secret(account)}

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        """Whose key it is: the list is public and would prove nothing."""
        response = await http.send(Request(url=f"{self.base_url(account)}/owner", headers=self.headers(account)))
        decode(response, _Owner)  # raises the right ProviderError for whatever is not a good answer
        return ConnectionReport(outcome=Outcome.OK, message="The key works.")

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """Every page, twenty at most."""
        headers, query, models = self.headers(account), "", list[DiscoveredModel]()
        for _ in range(MOST_PAGES):
            request = Request(url=f"{self.base_url(account)}/models{query}", headers=headers)
            page = decode(await http.send(request), _Page)
            models += [self.found(model.name, KINDS.get(model.kind)) for model in page.models]
            if not page.next:
                break
            query = "?" + urlencode({"from": page.next})
        return tuple(models)

    async def try_language(self, account: Account, name: str, http: Http) -> str:
        """A greeting. What is told of it is a fact about the answer, never the answer."""
        body = {"model": name, "prompt": "Hi", "limit": 16}
        response = await self.post(http, f"{self.base_url(account)}/write", body, self.headers(account))
        return f"It wrote {len(decode(response, _Written, of_model=True).text)} characters."

    async def try_embedding(self, account: Account, name: str, http: Http) -> str:
        """One embedding; its dimensions."""
        url = f"{self.base_url(account)}/map"
        response = await self.post(http, url, {"model": name, "text": "Hi"}, self.headers(account))
        return f"{len(decode(response, _Mapped, of_model=True).vector)} dimensions"


PROVIDER = Nimbus(
    ProviderSpec(
        name="nimbus",
        label="Nimbus",
        modalities=tuple(KINDS.values()),
        fields=(
            api_key("NIMBUS_API_KEY", "NIMBUS_TOKEN"),
            FieldSpec(
                name="region",
                label="Region",
                env=("NIMBUS_REGION",),
                default="eu",
                help="eu, us or ap.",
                names_host=True,  # it decides where the key goes, so changing it asks for the key again
            ),
            url_field(env=("NIMBUS_BASE_URL",)),
        ),
        native_operations=("POST write", "POST map", "GET models"),
        docs_url="https://nimbus.example/keys",
    )
)


@hookimpl
def keycairn_providers() -> tuple[Provider, ...]:
    """The providers of this plugin."""
    return (PROVIDER,)
