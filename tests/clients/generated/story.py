"""The whole story by the client that openapi-python-client makes; runs where that is, and nowhere else.

Takes the service's URL, an admin token, a provider's URL, its key, and the key it takes after the rotation.
"""

import sys

from keycairn_client import AuthenticatedClient
from keycairn_client.api.credentials import (
    create_credential,
    delete_credential,
    discover_credential_models,
    get_credential,
    register_credential_models,
    test_credential,
    update_credential,
)
from keycairn_client.api.gateway import create_chat_completion
from keycairn_client.api.models import assign_defaults, get_defaults, list_models
from keycairn_client.api.tokens import create_token, revoke_token
from keycairn_client.models import (
    CreateChatCompletionBody,
    CreateCredential,
    CreateToken,
    CredentialView,
    Problem,
    RegisterModel,
    RegisterModelModelType,
    RegisterModels,
    Scope,
    UpdateCredential,
)

service, token, provider, first_key, second_key = sys.argv[1:]
client = AuthenticatedClient(base_url=service, token=token)

made = create_credential.sync(
    client=client, body=CreateCredential(name="Work", provider="openai", api_key=first_key, base_url=provider)
)
assert isinstance(made, CredentialView), made
assert made.has_api_key
assert first_key not in str(made)
assert test_credential.sync(made.id, client=client).success

found = discover_credential_models.sync(made.id, client=client)
models = [
    RegisterModel(name=one.name, model_type=RegisterModelModelType(one.model_type))
    for one in found.discovered
    if one.model_type
]
assert register_credential_models.sync(made.id, client=client, body=RegisterModels(models=models)).created == len(
    models
)
assert len(list_models.sync(client=client)) == len(models)
assign_defaults.sync(client=client)
assert get_defaults.sync(client=client).default_chat_model

lent = create_token.sync(client=client, body=CreateToken(name="app", scopes=[Scope.INVOKE]))
caller = AuthenticatedClient(base_url=service, token=lent.token)


def call() -> int:
    body = CreateChatCompletionBody(model="default:chat")
    body["messages"] = [{"role": "user", "content": "Hello"}]
    return create_chat_completion.sync_detailed(client=caller, body=body).status_code


assert call() == 200
rotated = update_credential.sync(made.id, client=client, body=UpdateCredential(api_key=second_key))
assert rotated.version == made.version + 1
print("rotated", flush=True)  # whoever started this changes the provider's key
sys.stdin.readline()
assert call() == 200
revoke_token.sync(lent.id, client=client)
assert call() == 401

assert len(delete_credential.sync(made.id, client=client).deleted) == len(models)
gone = get_credential.sync(made.id, client=client)
assert isinstance(gone, Problem)
assert gone.code == "credential_not_found"
print("done", flush=True)
