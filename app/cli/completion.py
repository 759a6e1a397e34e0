"""The command that sets up the tab key."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what sets up the tab key: for commands, options, names and ids.

    For bash, put `eval "$(keycairn completion bash)"` into ~/.bashrc; for zsh the same with zsh into ~/.zshrc; for
    fish, `keycairn completion fish > ~/.config/fish/completions/keycairn.fish`. Names and ids are those of the service
    that runs, or that `keycairn login` remembers.
    """
    from keycairn.app.cli.group import main  # noqa: PLC0415  # the group loads this command

    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(main, {}, "keycairn", "_KEYCAIRN_COMPLETE").source())
