"""The command that looks for trouble."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from keycairn.app.cli.client import Client, RequestFailedError
from keycairn.app.cli.group import FAILED, as_json, main, settings, shown, with_client
from keycairn.app.cli.show import BAD, DULL, GOOD, say
from keycairn.app.wiring import FIRST_TOKEN_FILE, ROOT_KEY_FILE


class Finding(Struct, frozen=True):
    """One thing that was looked at. `what_to_do` is "" when all is well; `broken` says whether it must be mended."""

    subject: str
    found: str
    what_to_do: str = ""
    broken: bool = False


@main.command()
@as_json
@with_client
async def doctor(client: Client, *, as_json: bool) -> int | None:
    """Look for trouble, and say what to do about it. Exit code 1 when something is broken.

    Tries every stored secret, and looks at the files, the links between records, the plugins and the environment.
    Nothing but the notes of what does not open is changed.
    """
    findings = [finding async for finding in _examine(client, settings().data_dir)]
    broken = any(finding.broken for finding in findings)
    if not shown([to_builtins(finding) for finding in findings], as_json=as_json):
        for finding in findings:
            mark, style = (
                ("BAD ", BAD) if finding.broken else ("note", "yellow") if finding.what_to_do else ("ok  ", GOOD)
            )
            say(f"{mark} {finding.subject}: {finding.found}", style)
            if finding.what_to_do:
                say(f"     {finding.what_to_do}", DULL)
    return FAILED if broken else None


async def _examine(client: Client, data_dir: Path) -> AsyncIterator[Finding]:
    for file in _private_files(data_dir):
        yield file
    try:
        await client.get("/health/ready")
        yield Finding("service", f"{client.where} is ready")
    except RequestFailedError as error:
        yield Finding("service", "not ready", str(error), broken=True)
        return
    yield _encryption(await client.post("/api/encryption/verify"))
    credentials = await client.all("/api/credentials")
    models = await client.all("/api/models")
    for credential in credentials:
        if why := credential["decryption_error"]:
            yield Finding(
                f"credential {credential['id']} ({credential['provider']}, {credential['name']})",
                f"its secret does not open: {why}",
                "Send the key again (PUT with api_key); its models work at once. Or delete it.",
                broken=True,
            )
    for finding in _links(credentials, models, await client.get("/api/models/defaults")):
        yield finding
    for plugin in await client.get("/api/plugins"):
        if plugin["failure"]:
            yield Finding(
                f"plugin {plugin['name']}", plugin["failure"], "Mend, update or uninstall the plugin.", broken=True
            )
    plan = await client.post("/api/credentials/migrate-from-env", dry_run="true")
    if plan["migrated"]:
        names = ", ".join(plan["migrated"])
        yield Finding("environment", f"holds keys that are not in the database: {names}", "keycairn migrate-env")


def _private_files(data_dir: Path) -> list[Finding]:
    findings = []
    for name in (ROOT_KEY_FILE, FIRST_TOKEN_FILE):
        file = data_dir / name
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            findings.append(Finding(str(file), "others can read it", f"chmod 600 {file}", broken=True))
    if (data_dir / ROOT_KEY_FILE).exists():
        advice = "For production, give it as KEYCAIRN_ROOT_KEY_FILE from another place, and keep a copy elsewhere."
        findings.append(Finding("root key", f"lies beside the database, in {data_dir / ROOT_KEY_FILE}", advice))
    return findings


def _encryption(now: dict[str, Any]) -> Finding:
    total = sum(now["secrets"].values())
    if now["pending"] and not now["rotating"]:
        return Finding(
            "encryption", f"secrets that wait for the new key: {now['pending']} of {total}", "keycairn rotate data"
        )
    return Finding("encryption", f"secrets: {total}; key {now['primary']} is primary")


def _links(
    credentials: list[dict[str, Any]], models: list[dict[str, Any]], defaults: dict[str, str | None]
) -> list[Finding]:
    known = {credential["id"] for credential in credentials}
    ids = {model["id"] for model in models}
    findings = [
        Finding(
            f"model {m['id']} ({m['name']})", "its credential is gone", "Delete it and register it again.", broken=True
        )
        for m in models
        if m["credential"] and m["credential"] not in known
    ]
    findings += [
        Finding(slot, "its model is gone", "Assign another: PUT /api/models/defaults", broken=True)
        for slot, model in defaults.items()
        if model and model not in ids
    ]
    unlinked = [model["name"] for model in models if not model["credential"]]
    if unlinked:
        findings.append(
            Finding("models", f"without a credential: {', '.join(unlinked[:5])}", "Register them with one.")
        )
    missing = [model["name"] for model in models if model["missing_since"]]
    if missing:
        findings.append(Finding("models", f"no longer offered: {', '.join(missing[:5])}", "Delete them when unused."))
    if not findings:
        findings.append(Finding("records", f"credentials: {len(credentials)}; models: {len(models)}; all linked"))
    return findings
