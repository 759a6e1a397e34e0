"""Any server that speaks Anthropic's API. It runs as Anthropic, under its own base URL."""

from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import ProviderError
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, Outcome
from keycairn.domain.provider import Account, ProviderSpec
from keycairn.plugins.fields import api_key, url_field
from keycairn.plugins.providers.anthropic import NATIVE_OPERATIONS, REQUEST_HEADERS, Anthropic
from keycairn.ports.http import Http

_NO_LIST = frozenset({404, 405})


class AnthropicCompatible(Anthropic):
    """Such a server need not list its models."""

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        """List models; a server without a list has at least answered, and did not refuse the key."""
        try:
            return await super().check(account, http)
        except ProviderError as error:
            if error.status not in _NO_LIST:
                raise
            message = "Connected. The server has no list of models, so only a call can prove the key."
            return ConnectionReport(outcome=Outcome.OK, message=message)


PROVIDER = AnthropicCompatible(
    ProviderSpec(
        name="anthropic_compatible",
        label="Anthropic Compatible",
        modalities=(Modality.LANGUAGE,),
        fields=(
            api_key("ANTHROPIC_COMPATIBLE_API_KEY"),
            url_field(env=("ANTHROPIC_COMPATIBLE_BASE_URL",), help="Such as https://llm.example; /v1 is added."),
        ),
        any_of=(("base_url",),),
        dialect=Dialect.ANTHROPIC,
        native_operations=NATIVE_OPERATIONS,
        request_headers=REQUEST_HEADERS,
    )
)
