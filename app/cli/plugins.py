"""Commands about provider plugins."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keycairn.app.cli.connected import reading
from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.group import Group
from keycairn.app.cli.service_options import as_json, service_options
from keycairn.app.cli.show import GOOD, say, shown, table
from keycairn.app.cli.skeleton import skeleton, unusable
from keycairn.domain.provider import canonical_name

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client


@click.group(cls=Group, invoke_without_command=True)
@service_options
@as_json
@click.pass_context
def plugins(context: click.Context, *, as_json: bool) -> None:
    """Show the provider plugins, those that failed to load included; begin a new one."""
    if context.invoked_subcommand is None:
        context.invoke(list_plugins, as_json=as_json)


@plugins.command("list")
@as_json
@reading
async def list_plugins(client: "Client", *, as_json: bool = False) -> int | None:
    """Show the provider plugins, those that failed to load included.

    For each: the distribution and version it comes from, the version of the plugin API, what it supplies, and why it is
    not in use. The exit code is 1 when one failed to load.
    """
    found = await client.get("/api/plugins")
    failed = FAILED if any(plugin["failure"] for plugin in found) else None
    if not shown(found, as_json=as_json):
        table(
            ("plugin", "from", "API", "providers", "failure"),
            ((p["name"], p["origin"], p["api_version"], ", ".join(p["providers"]), p["failure"]) for p in found),
            empty="No plugin is loaded.",
        )
    return failed


@plugins.command("new")
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="The folder to make it in; the current one.",
)
@as_json
def new_plugin(name: str, into: Path, *, as_json: bool) -> None:
    """Write a plugin for the provider NAME: a package that works, with its tests.

    NAME is the provider's, such as `acme` or `acme_cloud`. The package is a new folder, `keycairn-NAME`, with a README,
    a .gitignore, and a workflow that runs the tests on each Python.
    """
    from keycairn.plugins.registry import PluginRegistry  # noqa: PLC0415  # 0.2 s, for this command alone

    provider = canonical_name(name)
    if why := unusable(provider):
        raise click.BadParameter(why, param_hint="NAME")
    if any(one.spec.name == provider for one in PluginRegistry(external=False).all()):
        raise click.BadParameter(f"{provider} is built in; choose another name", param_hint="NAME")
    folder = into / f"keycairn-{provider.replace('_', '-')}"
    if folder.exists():
        raise click.BadParameter(f"{folder} exists already", param_hint="NAME")
    files = skeleton(provider)
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    if shown({"folder": str(folder), "files": sorted(files)}, as_json=as_json):
        return
    say(f"Made {folder}. Next:", GOOD)
    say(f"  cd {folder}\n  pip install --editable '.[test]'\n  pytest\n  keycairn plugins")
