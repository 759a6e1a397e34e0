"""What an operator does on the page, task by task, whatever the hands are."""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from secrets import token_bytes, token_hex

from playwright.async_api import Locator, expect
from tests.browser import KEY, Place
from tests.hands import Hands, named
from tests.permissions import ROOT_KEY

from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

Task = Callable[[Hands, Place, Path], Awaitable[None]]


def main(hands: Hands) -> Locator:
    return hands.page.locator("main")


async def shows(hands: Hands, text: str, where: str = "main") -> None:
    await expect(hands.page.locator(where)).to_contain_text(text)


async def move_in_from_the_environment(hands: Hands, place: Place, _: Path) -> None:
    """The plan, the move, and whether what came in works."""
    for one in await place.keycairn.store.credentials("default"):
        await place.keycairn.credentials.delete(one.id)
    await hands.open(place, "/")
    await hands.press("See plan", role="link")
    if await main(hands).get_by_role("link", name="Bring back what was deleted").count():
        await hands.press("Bring back what was deleted", role="link")
    await hands.press("Move 1 key")
    await hands.press("Test all")
    await hands.watch("#moved tr >> nth=1", "Works")
    await shows(hands, "OPENAI_API_KEY")


async def move_in_from_a_file(hands: Hands, place: Place, folder: Path) -> None:
    """The plan, the move, and the result of each row with its test."""
    table, mark, key = folder / "keys.csv", token_hex(4), f"{KEY}{token_hex(6)}"
    await place.account(f"here {mark}", key=f"{key}here")
    table.write_text(
        "provider,name,api_key,base_url\n"
        f"openai_compatible,good {mark},{key},{place.provider.url}\n"
        f"openai_compatible,wrong {mark},sk-wrong-{token_hex(10)},{place.provider.url}\n"
        f"openai_compatible,here {mark},{key}here,{place.provider.url}\n"
        f"no_such_provider,stranger {mark},{key}x,\n"
    )
    await hands.open(place, "/")
    await hands.go("Move in")
    await hands.hand_in("File", table)
    await hands.choose("It is", "a table, CSV or JSON")
    await hands.press("See plan")
    await shows(hands, "2 credentials can come in")
    await shows(hands, "Here already")
    await shows(hands, "Cannot move in")
    await hands.press("Move 2 credentials")
    await hands.watch("#moved", "2 credentials came in")
    await hands.press("Test all")
    await hands.watch(f"#moved tr:has-text('good {mark}')", "Works")
    await hands.watch(f"#moved tr:has-text('wrong {mark}')", "Failed")
    await shows(hands, "Did not come in", f"#moved tr:has-text('stranger {mark}')")
    await shows(hands, "Left as it is", f"#moved tr:has-text('here {mark}')")
    assert KEY not in await hands.page.content()


async def keep_a_credential(hands: Hands, place: Place, _: Path) -> None:
    """Add, limit, duplicate, replace the key, test, and delete with a target for the models."""
    name = f"kept {token_hex(4)}"
    await hands.open(place, "/")
    await hands.go("Credentials")
    await hands.press("Add", role="link")
    await hands.fill("Provider", "compatible")
    await hands.press("Search")
    await hands.press("OpenAI Compatible", role="link")
    await hands.fill("Name", name)
    await hands.fill("API key", f"{KEY}{token_hex(6)}")
    await hands.fill("Base URL", place.provider.url)
    await hands.press("Save and test")
    await shows(hands, "Works", "#state")
    await hands.press("Edit", role="link")
    await hands.unfold("What it is for")
    await hands.fill("Calls a minute", "60")
    await hands.press("Save", exact=True)
    await shows(hands, "60 calls")
    await hands.press("Duplicate", role="link")
    await hands.fill("API key", f"{KEY}{token_hex(6)}")
    await hands.press("Save", exact=True)
    await expect(named(hands.page, "heading", f"{name} (copy)")).to_be_visible()
    await hands.press("Replace key", role="link")
    await hands.tick("Replace it")
    await hands.fill("New API key", f"{KEY}{token_hex(6)}")
    await hands.press("Save and test")
    await shows(hands, "Works", "#state")
    await hands.press("Test")
    await shows(hands, "Works", "#state")
    await hands.press("Delete", role="link")
    await hands.choose("Its models", f"move to {name}")
    await hands.press("Show")
    await hands.press(f"Delete {name} (copy)")
    await expect(hands.page.get_by_role("heading", name=name, exact=True)).to_be_visible()


async def rotate_a_key(hands: Hands, place: Place, _: Path) -> None:
    """Have somebody reminded of a key's age, and take that back."""
    id = await place.account("turning")
    await hands.open(place, f"/credentials/{id}")
    await hands.press("Have it rotated", role="link")
    await hands.fill("Days between rotations", "90")
    await hands.press("Save")
    await shows(hands, "in 90 days")
    await hands.unfold("Rotate it no more")
    await hands.press("Forget the policy")
    await shows(hands, "rotated no more")


async def keep_models(hands: Hands, place: Place, _: Path) -> None:
    """Find and register models, give one another name, make a pool, fill a slot, test, see what vanished, delete."""
    mark = token_hex(4)
    id, second = await place.account(f"first {mark}"), await place.account(f"second {mark}", models=("gpt-4o",))
    place.provider.models[f"brief-{mark}"] = "language"
    await hands.open(place, f"/credentials/{id}")
    await hands.press("Models", role="link")
    await hands.press("Ask the provider")
    await hands.tick("Register gpt-4o")
    await hands.tick(f"Register brief-{mark}")
    await hands.press("Register what is ticked")
    await shows(hands, "Registered.")
    await hands.press(f"brief-{mark}", role="link")
    await hands.press("Test")
    await shows(hands, "It answered")
    await hands.press("Use for chat")
    await shows(hands, f"brief-{mark}", "main table >> nth=0")
    await hands.go("Credentials")
    await hands.press(f"first {mark}", role="link")
    await hands.press("gpt-4o", role="link")
    await hands.fill("Name", f"team-{mark}")
    await hands.fill("Price of input", "0.5")
    await hands.fill("Price of output", "1.5")
    await hands.press("Save")
    await shows(hands, f"team-{mark}", "main h1")
    [other] = [one for one in await place.keycairn.store.models("default", limit=None) if one.credential == second]
    await hands.open(place, f"/models/{other.id}")
    await hands.fill("Name", f"team-{mark}")
    await hands.fill("Priority", "1")
    await hands.press("Save")
    await shows(hands, "Its pool")
    del place.provider.models[f"brief-{mark}"]
    await hands.open(place, f"/credentials/{id}/models")
    await hands.press("Ask the provider")
    await shows(hands, f"No longer offered: brief-{mark}")
    await hands.press(f"brief-{mark}", role="link")
    await hands.unfold("Delete")
    await hands.press(f"Delete brief-{mark}")
    await shows(hands, "Deleted.")


async def say_hello(hands: Hands, place: Place, _: Path) -> None:
    """A message to a model: its answer, the account that served it, and the time."""
    name = f"speaking {token_hex(4)}"
    await place.account(name, models=("gpt-4o",))
    await hands.open(place, "/")
    await hands.go("Playground")
    await hands.fill("Model", "openai_compatible/gpt-4o")
    await hands.press("Say it")
    await shows(hands, "It answered")
    await shows(hands, "Hello!")
    await shows(hands, " ms")
    await hands.fill("Model", "no-such-model")
    await hands.press("Say it")
    await shows(hands, "It did not work")


async def make_a_token(hands: Hands, place: Place, _: Path) -> None:
    """For an application: shown once with the lines its client needs, listed, and revoked."""
    name = f"notebook {token_hex(4)}"
    await hands.open(place, "/")
    await hands.go("Tokens")
    await hands.press("Make a token", role="link")
    await hands.fill("Name", name)
    await hands.fill("Ends after", "30")
    await hands.press("Make it")
    text = await hands.page.locator("#token").inner_text()
    assert (await place.keycairn.tokens.authenticate(Secret(text))).scopes == (Scope.INVOKE,)
    assert f'OPENAI_BASE_URL="{place.url}/v1"' in await hands.page.locator("#openai").inner_text()
    await hands.press("I have copied it", role="link")
    await shows(hands, name)
    assert text not in await hands.page.content()
    await hands.press(f"Revoke {name}", role="link")
    await hands.press(f"Revoke {name}")
    await shows(hands, "Revoked", f"main tr:has-text('{name}')")


async def look_at_usage(hands: Hands, place: Place, _: Path) -> None:
    """By hour and by model, the plot with the table behind it, and the same as a file."""
    await place.account(f"used {token_hex(4)}", models=("gpt-4o",))
    await hands.open(place, "/playground?model=openai_compatible/gpt-4o")
    await hands.press("Say it")
    await shows(hands, "It answered")
    await hands.go("Usage")
    await hands.choose("By", "Hour")
    await hands.press("Show")
    await shows(hands, ":00", "main table")
    await hands.choose("By", "Model")
    await hands.press("Show")
    await shows(hands, "openai_compatible/gpt-4o", "main table")
    async with hands.page.expect_download() as saving:
        await hands.press("CSV", role="link")
    assert "openai_compatible/gpt-4o" in Path(await (await saving.value).path()).read_text()


async def follow_the_audit_log(hands: Hands, place: Place, _: Path) -> None:
    """Filter, prove, and see what happens as it happens."""
    await hands.open(place, "/")
    await hands.go("Audit")
    await hands.choose("What", "credential.created")
    await hands.press("Filter")
    await expect(main(hands).locator("tbody th", has_text="token.created")).to_have_count(0)
    await hands.press("Follow", role="link")
    id = await place.account(f"followed {token_hex(4)}")
    await hands.watch("#events", id)
    await hands.go("Audit")
    await hands.press("Verify")
    await shows(hands, "The log is whole")


async def turn_the_keys(hands: Hands, place: Place, _: Path) -> None:
    """Try every secret, look for trouble, rotate the data key, and change the root key."""
    await place.account(f"sealed {token_hex(4)}")
    await hands.open(place, "/")
    await hands.go("Encryption")
    await hands.press("Try every secret")
    await shows(hands, "Every secret was tried")
    await hands.press("Check up")
    await expect(hands.page.locator("main .todo li").first).to_be_visible()
    await hands.press("Rotate")
    await hands.watch("#keys", "retired")
    await hands.unfold("Change the root key")
    other = f"base64:{b64encode(token_bytes(32)).decode()}"
    await hands.fill("Present root key", "base64:" + b64encode(bytes(32)).decode())
    await hands.fill("New root key", other)
    await hands.press("Change it")
    await shows(hands, "There is a problem")
    await hands.fill("Present root key", f"base64:{ROOT_KEY.material.reveal()}")
    await hands.fill("New root key", other)
    await hands.press("Change it")
    await shows(hands, "The root key was changed")
    await place.keycairn.root_keys.change(ROOT_KEY, present=parse_root_key(Secret(other)))


async def keep_backups(hands: Hands, place: Place, folder: Path) -> None:
    """Make one, take one along, and read how to restore it."""
    await hands.open(place, "/")
    await hands.go("Backups")
    await hands.press("Back up")
    await shows(hands, "The backup was written")
    async with hands.page.expect_download() as saving:
        await hands.press("Download one")
    await (await saving.value).save_as(folder / "taken")
    assert (folder / "taken").stat().st_size > 500
    await shows(hands, "keycairn restore", "#restore")


async def read_plugins_and_settings(hands: Hands, place: Place, _: Path) -> None:
    """What is loaded and from where, and the settings as they are in force."""
    await hands.open(place, "/")
    await hands.go("Plugins")
    await shows(hands, "Loaded", "main tr:has-text('acme')")
    await hands.go("Settings")
    await shows(hands, "KEYCAIRN_DATA_DIR")


TASKS: list[Task] = [
    move_in_from_the_environment,
    move_in_from_a_file,
    keep_a_credential,
    rotate_a_key,
    keep_models,
    say_hello,
    make_a_token,
    look_at_usage,
    follow_the_audit_log,
    turn_the_keys,
    keep_backups,
    read_plugins_and_settings,
]
FIRST_SIX = TASKS[:8]
"""Moving in, credentials, models, the playground, tokens and usage."""
