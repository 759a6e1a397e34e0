"""Who serves a name: a pool that was made on purpose, else one provider; and who comes into a pool."""

from msgspec.structs import replace
from tests.samples import a_credential, a_model

from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.pools import joining
from keycairn.domain.routing import ordered


def linked(provider: str, name: str, **fields: object) -> Model:
    return a_model(provider=provider, name=name, credential=a_credential(provider=provider).id, **fields)


def test_models_that_were_given_one_name_serve_it_whosever_they_are() -> None:
    azure = linked("azure", "gpt-4o", provider_model="prod-4o", priority=1)
    openai = linked("openai", "gpt-4o", provider_model="gpt-4o", priority=2)
    groq = linked("groq", "gpt-4o", provider_model="llama", priority=0)

    assert ordered([openai, azure, groq], None) == [groq, azure, openai]


def test_models_of_one_name_that_nobody_put_together_stay_with_the_first_provider() -> None:
    azure, openai, openai_too = linked("azure", "m"), linked("openai", "m"), linked("openai", "m")

    assert ordered([azure, openai, openai_too], None) == [openai, openai_too]


def test_nothing_comes_into_a_pool_by_itself() -> None:
    azure, found = linked("azure", "gpt-4o", provider_model="prod-4o"), linked("openai", "gpt-4o")

    assert ordered([azure, found], None) == [azure]


def test_a_pool_of_another_type_leaves_a_name_alone() -> None:
    speech = linked("azure", "m", provider_model="tts", type=Modality.TEXT_TO_SPEECH)
    chat = linked("openai", "m")

    assert ordered([speech, chat], Modality.LANGUAGE) == [chat]
    assert ordered([speech, chat], Modality.TEXT_TO_SPEECH) == [speech]


def test_one_account_may_serve_a_name_with_several_of_its_models() -> None:
    credential = a_credential().id
    rows = [
        a_model(name="fast", provider_model=own, credential=credential, priority=priority)
        for priority, own in enumerate(("gpt-4o-mini", "gpt-4.1-nano", "gpt-4o-mini"))
    ]

    assert ordered(rows, None) == rows[:2]


def test_a_pool_is_asked_only_of_the_providers_that_speak_the_api() -> None:
    azure = linked("azure", "claude", provider_model="x")
    anthropic = linked("anthropic", "claude", provider_model="claude-sonnet-5", priority=9)

    assert ordered([azure, anthropic], None, frozenset({"anthropic"})) == [anthropic]


def test_what_serves_a_name_alone_comes_into_the_pool_that_begins_there() -> None:
    openai, groq, loose = linked("openai", "m"), linked("groq", "m"), a_model(name="m", provider="openai")
    speech = linked("openai", "m", type=Modality.TEXT_TO_SPEECH)
    new = linked("azure", "m", provider_model="prod")

    rows = [openai, groq, loose, speech, new]
    (change,) = joining(new, rows, rows)

    assert (change.model.id, change.model.provider_model, change.model.version) == (openai.id, "m", openai.version + 1)
    assert change.expected == openai.version


def test_a_pool_that_is_there_takes_in_nobody_else() -> None:
    member, found = linked("azure", "m", provider_model="prod"), linked("openai", "m")

    assert joining(linked("groq", "m", provider_model="llama"), [member, found], [member, found]) == []


def test_what_is_served_without_a_link_comes_into_a_pool_as_it_is_stored() -> None:
    stored, new = a_model(name="m", provider="openai"), linked("azure", "m", provider_model="prod")

    (change,) = joining(new, [stored], [replace(stored, credential=a_credential().id)])

    assert (change.model.provider_model, change.model.credential) == ("m", None)
