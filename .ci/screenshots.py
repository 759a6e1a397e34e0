"""Take the pictures of the page for README and docs: a service with made-up accounts, in a browser, light and dark."""

import asyncio
import random
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser import CHROMIUM, KEY, Place, a_place  # found by the line above

from keycairn.domain.change import AddUsage
from keycairn.domain.ids import CredentialId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Slot
from keycairn.domain.secret import Secret
from keycairn.domain.usage import Usage, UsageKey

FOLDER = ROOT / "docs/page"
PICTURES = {
    "overview": "/",
    "credentials": "/credentials",
    "credential": "/credentials/{id}",
    "move-in": "/move-in",
    "models": "/models",
    "usage": "/usage",
    "encryption": "/encryption",
}
HEIGHT, WIDTH = 760, 1180
ACCOUNTS = (("Production", "gpt-4o"), ("Research", "gpt-4o-mini"), ("Batch jobs", "text-embedding-3-large"))


VARIABLES = {
    "ANTHROPIC_API_KEY": "sk-ant-api03-7Kq2Zt9Rm4Xw8Lb3Nd6Pf1Vs5Hc0Gj",
    "GROQ_API_KEY": "gsk_7Kq2Zt9Rm4Xw8Lb3Nd6Pf1Vs5Hc0GjTy2Ua",
    "AZURE_OPENAI_API_KEY": "7kq2zt9rm4xw8lb3nd6pf1vs5hc0gj2u",
    "MISTRAL_API_KEY": "your-key-here",
}
"""Of the environment, made up: two that can move in, one that lacks its address, one that is no key."""


async def furnish(place: Place) -> CredentialId:
    """Accounts that work, one that was changed since, one nobody tried; models, slots, and two weeks of calls."""
    chance = random.Random(7)  # noqa: S311  # made-up numbers
    keycairn = place.keycairn
    today = keycairn.clock.now().date()
    ids: list[CredentialId] = []
    for name, model in ACCOUNTS:
        made = await keycairn.credentials.create(
            "openai_compatible",
            name=name,
            settings={"base_url": place.provider.url},
            secrets={"api_key": Secret(KEY if name == "Production" else f"{KEY}-{name.lower().replace(' ', '-')}")},
        )
        id = made.credential.id
        ids.append(id)
        kind = Modality.EMBEDDING if "embedding" in model else Modality.LANGUAGE
        registered = await keycairn.models.create(model, provider="openai_compatible", type=kind, credential=id)
        if name != "Research":
            slot = Slot.EMBEDDING if kind is Modality.EMBEDDING else Slot.CHAT
            await keycairn.models.set_defaults({slot: registered.id})
        for back in range(30):
            calls = chance.randint(200, 900) // (1 + (today - timedelta(days=back)).weekday() // 5 * 3)
            key = UsageKey(
                day=today - timedelta(days=back),
                workspace="default",
                token="token:app",  # a name
                credential=id,
                model=registered.id,
            )
            used = Usage(
                requests=calls,
                failed=chance.randint(0, 6),
                input_tokens=calls * 620,
                output_tokens=calls * 140,
                nanos=calls * 3_100_000,
            )
            await keycairn.store.commit((AddUsage(key, used),))
    await keycairn.probing.test(ids[0])
    await keycairn.probing.test(ids[1])
    await keycairn.backups.save()
    return ids[0]


async def take() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with a_place(Path(folder), VARIABLES) as place:
            id = await furnish(place)
            for dark in (False, True):
                page = await place.opened("/", dark=dark, width=WIDTH)
                await page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
                for name, path in PICTURES.items():
                    await page.goto(path.replace("{id}", id))
                    await page.screenshot(path=FOLDER / f"{name}-{'dark' if dark else 'light'}.png")


if CHROMIUM is None:
    sys.exit("There is no chromium here: apt install chromium")
asyncio.run(take())
